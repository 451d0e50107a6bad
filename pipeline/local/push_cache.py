"""Checks whether the result of a cached Pusher is still valid."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from artifacts.push import read_push
from custom_components.pusher.device import is_complete
from lineage.queries.pushed_version import PUSHED_MODEL
from lineage.store.reader import MetadataReader


class PushFolders(NamedTuple):
    """Folders that versions are pushed to: the server's and the devices'."""

    serving: Path
    tflite: Path


def is_push_current(reader: MetadataReader, folders: PushFolders, artifacts: Collection[int]) -> bool:
    """Returns whether the newest version in each folder is complete, is the last push and was made from the artifacts.

    Otherwise a Pusher must not be cached, since it would push nothing. This happens if another model was pushed in the
    meantime, if the same model was pushed with another TFLite model, or if a folder was emptied.

    Args:
        reader: ML Metadata.
        folders: Where versions are pushed.
        artifacts: Ids of the artifacts to push: the model, and the TFLite model if there is one.
    """
    pushes = [
        (push, artifact.id)
        for artifact in reader.artifacts_of_type(PUSHED_MODEL)
        if (push := read_push(artifact.properties))
    ]
    if not pushes:
        return True
    last, artifact_id = max(pushes, key=lambda pair: int(pair[0].version))
    version = last.version
    if _newest_version(folders.serving) != version:
        return False
    if last.tflite and not (_newest_version(folders.tflite) == version and is_complete(folders.tflite / version)):
        return False
    pushers = {each.execution_id for each in reader.events_of_artifacts([artifact_id]) if each.direction == "output"}
    inputs = {each.artifact_id for each in reader.events_of_executions(pushers) if each.direction == "input"}
    return set(artifacts) <= inputs


def _newest_version(folder: Path) -> str | None:
    return max((path.name for path in folder.glob("*") if path.name.isdigit()), key=int, default=None)
