"""Finds the artifact that a user names: by a pushed version, a path, a number, or ``NODE.KEY``."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_metadata import metadata_store

from lineage.errors import LineageError
from lineage.graph import walk as graph
from lineage.graph.by_node import all_nodes, newest_executions, newest_links, node_artifacts
from lineage.graph.contexts import RUN
from lineage.graph.convert import to_artifact
from lineage.queries.moved import artifact_in, inside
from lineage.recorded.provenance import FILE, Provenance, read_provenance
from lineage.records import Artifact

PUSHER, PUSHED_MODEL = "Pusher", "PushedModel"
VERSION, DESTINATION = "pushed_version", "pushed_destination"
# How many of a node's newest are asked for at first, and how many times more each time after.
FIRST, GROWTH = 64, 8
SHOWN = 3
MOST_NUMBER = 2**63 - 1
DEEPEST = 4  # folders between a file and the artifact that it is in

EXPECTED = (
    "expected a pushed version, the path of its folder or of an artifact's, an artifact's number, "
    "or NODE.KEY such as Trainer.model"
)
UNKNOWN = "the store of {output} does not know this version; its own is given by --output"


class Target(NamedTuple):
    """What was named: an artifact, and what a pushed version's folder says of itself, each if it is there."""

    artifact: Artifact | None
    provenance: Provenance | None


def find(store: metadata_store.MetadataStore, output: Path, name: str) -> Target:
    """The artifact that ``name`` names.

    Args:
        store: ML Metadata.
        output: The runs' output folder.
        name: A pushed version; the path of its folder, of a copy of it, or of an artifact; an artifact's number;
            ``NODE.KEY`` for the newest output of a node, or ``NODE.KEY:NUMBER``.

    Raises:
        LineageError: There is no such thing.
    """
    if os.sep in name or os.path.exists(name):
        return _by_path(store, output, name)
    if _is_number(name):
        return _by_version_or_id(store, output, name)
    if _is_number(name.rpartition(":")[2]):
        return Target(_by_name_and_id(store, name), None)
    if "." in name:
        return Target(_newest_output(store, name), None)
    raise LineageError(f"'{name}': {EXPECTED}")


def find_artifact(store: metadata_store.MetadataStore, output: Path, name: str) -> Artifact:
    """The artifact that ``name`` names, as :func:`find` does.

    Raises:
        LineageError: There is none in this store.
    """
    artifact = find(store, output, name).artifact
    if artifact is None:
        raise LineageError(f"{name}: {UNKNOWN.format(output=output)}")
    return artifact


def provenance_of(name: str) -> Provenance | None:
    """What the folder of a pushed version says of itself, without any store; ``None`` if it says nothing.

    Raises:
        LineageError: The file cannot be read.
    """
    try:
        return read_provenance(Path(name))
    except ValueError as error:
        raise LineageError(str(error)) from error


def pushed(store: metadata_store.MetadataStore, version: str, uri: str | None = None) -> Artifact | None:
    """The push of a version; quick if the folder of its artifact is known, else by the Pusher's, newest first.

    Raises:
        LineageError: Several pipelines pushed it.
    """
    batches = [map(to_artifact, store.get_artifacts_by_uri(uri))] if uri is not None else _pushes(store)
    for batch in batches:
        found = [each for each in batch if each.properties.get(VERSION) == version]
        if len(found) > 1:
            raise _ambiguous(version, [each.properties.get(DESTINATION, each.uri) for each in found])
        if found:
            return found[0]
    return None


def versions(store: metadata_store.MetadataStore) -> list[str]:
    """The newest pushed versions, newest first."""
    newest = node_artifacts(store, PUSHER, FIRST)
    return sorted({each.properties[VERSION] for each in newest if each.properties.get(VERSION)}, key=int)[::-1]


def newest_run(store: metadata_store.MetadataStore, node: str) -> str:
    """The newest run that a node is in.

    Raises:
        LineageError: It never ran.
    """
    ids = newest_executions(store, node, 1)
    if not ids:
        known = ", ".join(all_nodes(store)) or "none"
        raise LineageError(f"'{node}': no such node ever ran; those that did are {known}")
    return next(each.name for each in store.get_contexts_by_execution(max(ids)) if each.type == RUN)


def _by_path(store: metadata_store.MetadataStore, output: Path, name: str) -> Target:
    provenance = provenance_of(name)
    if provenance:
        return Target(pushed(store, provenance.version, provenance.pushed_uri), provenance)
    remote = "://" in name
    path = Path(name)
    for folder in (name.rstrip("/"),) if remote else _folders(path):
        found = store.get_artifacts_by_uri(folder)
        if found:
            return Target(to_artifact(max(found, key=lambda each: each.id)), None)
    for folder in () if remote else _folders(path):
        if moved := artifact_in(store, output, Path(folder)):
            return Target(moved, None)
    # A version that was pushed before there were such files.
    within = inside(output, path)
    for batch in _pushes(store) if _is_number(path.name) else ():
        for each in batch:
            pushed_to = each.properties.get(DESTINATION, "")
            if pushed_to in (name.rstrip("/"), str(path.absolute())) or (within and pushed_to.endswith(f"/{within}")):
                return Target(each, None)
    raise LineageError(f"{name}: no artifact of this store, and no {FILE} in it; {EXPECTED}")


def _folders(path: Path) -> list[str]:
    """The folders that a path may be in, with and without links followed."""
    both = (path.absolute(), path.resolve())
    return list(dict.fromkeys(str(folder) for each in both for folder in (each, *each.parents[:DEEPEST])))


def _by_version_or_id(store: metadata_store.MetadataStore, output: Path, name: str) -> Target:
    folders = sorted(map(str, output.glob(f"serving/*/{name}")))
    if len(folders) > 1:
        raise _ambiguous(name, folders)
    for folder in folders:
        with contextlib.suppress(LineageError):  # a file that cannot be read costs time alone
            provenance = provenance_of(folder)
            if provenance and (known := pushed(store, name, provenance.pushed_uri)):
                return Target(known, provenance)
    found = _by_id(store, int(name)) or pushed(store, name)
    return Target(found or _refuse_id(store, name), None)


def _ambiguous(version: str, folders: Sequence[str]) -> LineageError:
    return LineageError(f"version {version}: several were pushed as that; expected one of {', '.join(folders)}")


def _by_name_and_id(store: metadata_store.MetadataStore, name: str) -> Artifact:
    """The artifact of a name that commands print: ``<node>.<key>:<id>``, or ``<type>:<id>``."""
    said, _, number = name.rpartition(":")
    found = _by_id(store, int(number)) or _refuse_id(store, name)
    known = graph.makers(store, [found.id]).name(found.id)
    if said not in (known.rpartition(":")[0], found.type):
        raise LineageError(f"'{name}': number {number} is {known}")
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _by_id(store: metadata_store.MetadataStore, number: int) -> Artifact | None:
    found = store.get_artifacts_by_id([number]) if number <= MOST_NUMBER else []
    return to_artifact(found[0]) if found else None


def _refuse_id(store: metadata_store.MetadataStore, name: str) -> Artifact:
    newest = versions(store)
    if not newest:
        raise LineageError(f"{name}: no such version or artifact, and nothing was pushed yet; {EXPECTED}")
    more = ", …" if len(newest) > SHOWN else ""
    known = ", ".join(newest[:SHOWN])
    raise LineageError(f"{name}: no such version or artifact; the newest versions are {known}{more}")


def _newest_output(store: metadata_store.MetadataStore, name: str) -> Artifact:
    node, _, key = name.partition(".")
    newest_run(store, node)  # refuses a node that never ran
    links = [link for link in newest_links(store, node, FIRST) if link.direction == "output"]
    for link in links:
        if link.key == key:
            return to_artifact(store.get_artifacts_by_id([link.artifact_id])[0])
    keys = sorted({link.key for link in links})
    raise LineageError(f"'{name}': {node} made no '{key}'; it makes {', '.join(keys) or 'nothing'}")


def _pushes(store: metadata_store.MetadataStore) -> Iterator[list[Artifact]]:
    """Pushes, newest first, in batches that grow; asked for as long as the caller goes on."""
    limit, seen = FIRST, 0
    while True:
        found = node_artifacts(store, PUSHER, limit)
        yield found[seen:]
        if len(found) < limit:
            return
        limit, seen = limit * GROWTH, len(found)
