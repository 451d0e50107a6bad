"""Finds what lies in an output folder that was moved or copied since: ML Metadata has the folders of before."""

from pathlib import Path

from ml_metadata import metadata_store

from lineage.graph.by_node import node_artifacts
from lineage.graph.convert import to_artifact
from lineage.records import Artifact

ARTIFACTS = "artifacts"
ASKED = 64  # of a node's newest, which tell the folders that a store's runs were in
PARTS = 4  # artifacts/<node>/<key>/<execution>


def inside(output: Path, path: Path) -> str | None:
    """A path as it is below the output folder; ``None`` if it is not there."""
    whole, folder = path.resolve(), output.resolve()
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) and whole != folder else None


def artifact_in(store: metadata_store.MetadataStore, output: Path, path: Path) -> Artifact | None:
    """The artifact whose folder has the same place below an earlier output folder as ``path`` has below this one.

    The folder's name ends with the number of an execution, so that it is one artifact's in a store.
    """
    place = (inside(output, path) or "").split("/")
    if place[0] != ARTIFACTS or len(place) < PARTS:
        return None
    below = f"/{ARTIFACTS}/{place[1]}/"
    roots = {each.uri.rpartition(below)[0] for each in node_artifacts(store, place[1], ASKED) if below in each.uri}
    for root in sorted(roots):
        found = store.get_artifacts_by_uri("/".join((root, *place)))
        if found:
            return to_artifact(max(found, key=lambda each: each.id))
    return None
