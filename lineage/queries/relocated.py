"""Finds artifacts in an output folder that was moved or copied: ML Metadata still has the old paths."""

from pathlib import Path

from lineage.records import Artifact
from lineage.store.reader import MetadataReader

ARTIFACTS_FOLDER = "artifacts"
MAX_ARTIFACTS = 64  # of a node, to learn the earlier output folders from
DEPTH = 4  # artifacts/<node>/<key>/<execution>


def relative_to_output(output: Path, path: Path) -> str | None:
    """Returns a path relative to the output folder, or ``None`` if it is outside or the folder itself."""
    full, folder = path.resolve(), output.resolve()
    return full.relative_to(folder).as_posix() if full.is_relative_to(folder) and full != folder else None


def find_relocated(reader: MetadataReader, output: Path, path: Path) -> Artifact | None:
    """Returns the artifact that had the same relative path in an earlier output folder.

    The folder's name ends with the number of an execution, so the path is unique within a store.
    """
    parts = (relative_to_output(output, path) or "").split("/")
    if parts[0] != ARTIFACTS_FOLDER or len(parts) < DEPTH:
        return None
    node_folder = f"/{ARTIFACTS_FOLDER}/{parts[1]}/"
    artifacts = reader.newest_artifacts(parts[1], MAX_ARTIFACTS)
    outputs = {each.uri.rpartition(node_folder)[0] for each in artifacts if node_folder in each.uri}
    for earlier in sorted(outputs):
        found = reader.artifacts_at("/".join((earlier, *parts)))
        if found:
            return max(found, key=lambda each: each.id)
    return None
