"""Finds the artifact that a user names: by version, path, id, or ``NODE.KEY``."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from artifacts.names import PROVENANCE_FILE, PUSHED_DESTINATION, PUSHED_VERSION
from common.remote_paths import is_remote
from lineage.errors import LineageError
from lineage.graph.walker import GraphWalker
from lineage.queries.relocated import find_relocated, relative_to_output
from lineage.recorded.provenance import Provenance, read_provenance
from lineage.records import Artifact
from lineage.store.reader import MetadataReader

PUSHER = "Pusher"
# Number of a node's newest artifacts in the first query, and how many times more in each further one.
FIRST, GROWTH = 64, 8
MAX_NAMES = 3  # in an error
MAX_ID = 2**63 - 1
MAX_DIGITS = 30  # Python refuses to convert thousands
MAX_DEPTH = 4  # folders between an artifact's folder and a file in it

EXPECTED = (
    "expected a pushed version, the path of its folder or of an artifact, the id of an artifact, "
    "or NODE.KEY such as Trainer.model"
)


class Target(NamedTuple):
    """What the user named.

    Attributes:
        artifact: The artifact, or ``None`` if the store does not have it.
        provenance: Provenance of a pushed version, or ``None`` if there is no such file.
    """

    artifact: Artifact | None
    provenance: Provenance | None


def find_artifact(reader: MetadataReader, output: Path, name: str) -> Artifact:
    """Returns the artifact that the user named, as :func:`find_target` does.

    Raises:
        LineageError: The store does not have it.
    """
    artifact = find_target(reader, output, name, provenance_of(name)).artifact
    if artifact is None:
        raise LineageError(f"{name}: {unknown_version(output)}")
    return artifact


def find_target(reader: MetadataReader, output: Path, name: str, provenance: Provenance | None) -> Target:
    """Returns what the user named.

    Args:
        reader: ML Metadata.
        output: The output folder of the runs.
        name: A pushed version, the path of its folder, of a copy or of an artifact, the id of an artifact,
            ``NODE.KEY`` for the newest output of a node, or ``NODE.KEY:ID``.
        provenance: The result of :func:`provenance_of` for this name.

    Raises:
        LineageError: Nothing has this name.
    """
    if provenance:
        return Target(find_pushed(reader, provenance.version, provenance.pushed_uri), provenance)
    if os.sep in name or os.path.exists(name):
        return Target(_by_path(reader, output, name), None)
    if _is_number(name):
        return _by_version_or_id(reader, output, name)
    if _is_number(name.rpartition(":")[2]):
        return Target(_by_name_and_id(reader, name), None)
    if "." in name:
        return Target(_newest_output(reader, name), None)
    raise LineageError(f"'{name}': {EXPECTED}")


def provenance_of(name: str) -> Provenance | None:
    """Returns the provenance in a version's folder, which needs no store, or ``None`` if there is none.

    Raises:
        LineageError: The file cannot be read.
    """
    try:
        return read_provenance(Path(name))
    except ValueError as error:
        raise LineageError(str(error)) from error


def unknown_version(output: Path) -> str:
    """Returns the reason why a pushed version has no artifact."""
    return f"the store of {output} does not have this version; give the output folder of its run with --output"


def find_pushed(reader: MetadataReader, version: str, uri: str | None = None) -> Artifact | None:
    """Returns the pushed model of a version.

    Args:
        reader: ML Metadata.
        version: The version.
        uri: Folder of the pushed model's artifact, which makes the search fast. Otherwise the Pusher's artifacts are
            searched, newest first.

    Raises:
        LineageError: Several pipelines pushed this version.
    """
    batches = [reader.artifacts_at(uri)] if uri is not None else _pushed_models(reader)
    for batch in batches:
        found = [each for each in batch if each.properties.get(PUSHED_VERSION) == version]
        if len(found) > 1:
            raise _ambiguous(version, [each.properties.get(PUSHED_DESTINATION, each.uri) for each in found])
        if found:
            return found[0]
    return None


def newest_versions(reader: MetadataReader) -> list[str]:
    """Returns the newest pushed versions, newest first."""
    found = {each.properties.get(PUSHED_VERSION) for each in reader.newest_artifacts(PUSHER, FIRST)}
    return sorted(filter(None, found), key=int, reverse=True)


def newest_run(reader: MetadataReader, node: str) -> str:
    """Returns the newest run of a node.

    Raises:
        LineageError: The node never ran.
    """
    executions = reader.newest_executions(node, 1)
    if not executions:
        nodes = ", ".join(reader.nodes()) or "none"
        raise LineageError(f"'{node}': no node of this name ever ran; the nodes that ran are {nodes}")
    return reader.run_of(max(executions))


def _by_path(reader: MetadataReader, output: Path, name: str) -> Artifact:
    is_url = is_remote(name)
    path = Path(name)
    for folder in (name.rstrip("/"),) if is_url else _folders(path):
        if found := reader.artifacts_at(folder):
            return max(found, key=lambda each: each.id)
    for folder in () if is_url else _folders(path):
        if relocated := find_relocated(reader, output, Path(folder)):
            return relocated
    # A version that was pushed before versions had a provenance file.
    relative = relative_to_output(output, path)
    for batch in _pushed_models(reader) if _is_number(path.name) else ():
        for each in batch:
            destination = each.properties.get(PUSHED_DESTINATION, "")
            moved = relative and destination.endswith(f"/{relative}")
            if moved or destination in (name.rstrip("/"), str(path.absolute())):
                return each
    raise LineageError(f"{name}: not an artifact of this store, and it has no {PROVENANCE_FILE}; {EXPECTED}")


def _folders(path: Path) -> list[str]:
    """Returns the path and the folders that it is in, with and without symbolic links resolved."""
    both = (path.absolute(), path.resolve())
    return list(dict.fromkeys(str(folder) for each in both for folder in (each, *each.parents[:MAX_DEPTH])))


def _by_version_or_id(reader: MetadataReader, output: Path, name: str) -> Target:
    folders = sorted(map(str, output.glob(f"serving/*/{name}")))
    if len(folders) > 1:
        raise _ambiguous(name, folders)
    provenance = None
    for folder in folders:
        with contextlib.suppress(LineageError):  # without a readable file the search only takes longer
            provenance = provenance_of(folder)
            if provenance and (known := find_pushed(reader, name, provenance.pushed_uri)):
                return Target(known, provenance)
    found = _by_id(reader, int(name)) or find_pushed(reader, name)
    if found is None and provenance is None:
        raise _not_found(reader, name)
    return Target(found, None if found else provenance)


def _by_name_and_id(reader: MetadataReader, name: str) -> Artifact:
    """Returns the artifact of a name that the commands print: ``<node>.<key>:<id>`` or ``<type>:<id>``."""
    prefix, _, number = name.rpartition(":")
    found = _by_id(reader, int(number))
    if found is None:
        raise _not_found(reader, name)
    full_name = GraphWalker(reader).producers([found.id]).name(found.id)
    if prefix not in (full_name.rpartition(":")[0], found.type):
        raise LineageError(f"'{name}': artifact {number} is {full_name}")
    return found


def _by_id(reader: MetadataReader, artifact_id: int) -> Artifact | None:
    found = reader.artifacts([artifact_id]) if artifact_id <= MAX_ID else []
    return found[0] if found else None


def _newest_output(reader: MetadataReader, name: str) -> Artifact:
    node, _, key = name.partition(".")
    newest_run(reader, node)  # raises if the node never ran
    outputs = [event for event in reader.newest_events(node, FIRST) if event.direction == "output"]
    for event in outputs:
        if event.key == key:
            return reader.artifacts([event.artifact_id])[0]
    keys = ", ".join(sorted({event.key for event in outputs})) or "none"
    raise LineageError(f"'{name}': {node} has no output '{key}'; its outputs are {keys}")


def _pushed_models(reader: MetadataReader) -> Iterator[list[Artifact]]:
    """Yields the Pusher's artifacts, newest first, in batches of growing size that are queried on demand."""
    limit, seen = FIRST, 0
    while True:
        found = reader.newest_artifacts(PUSHER, limit)
        yield found[seen:]
        if len(found) < limit:
            return
        limit, seen = limit * GROWTH, len(found)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def _ambiguous(version: str, folders: Sequence[str]) -> LineageError:
    return LineageError(f"version {version}: found in several places; expected one of {', '.join(folders)}")


def _not_found(reader: MetadataReader, name: str) -> LineageError:
    newest = newest_versions(reader)
    if not newest:
        return LineageError(f"{name}: no such version or artifact, and nothing was pushed yet; {EXPECTED}")
    more = ", …" if len(newest) > MAX_NAMES else ""
    known = ", ".join(newest[:MAX_NAMES])
    return LineageError(f"{name}: no such version or artifact; the newest versions are {known}{more}")
