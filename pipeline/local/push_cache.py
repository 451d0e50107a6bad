"""Checks whether the result of a cached Pusher is still valid."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from artifacts.push import read_push
from custom_components.pusher.device import is_complete
from lineage.store.messages import to_properties

Event = metadata_store_pb2.Event


class PushFolders(NamedTuple):
    """Folders that versions are pushed to: the server's and the devices'."""

    serving: Path
    tflite: Path


def is_push_current(store: metadata_store.MetadataStore, folders: PushFolders, artifacts: Collection[int]) -> bool:
    """Returns whether the newest version in each folder is complete, is the last push and was made from the artifacts.

    Otherwise a Pusher must not be cached, since it would push nothing. This happens if another model was pushed in the
    meantime, if the same model was pushed with another TFLite model, or if a folder was emptied.

    Args:
        store: ML Metadata.
        folders: Where versions are pushed.
        artifacts: Ids of the artifacts to push: the model, and the TFLite model if there is one.
    """
    pushes = [
        (push, artifact.id)
        for artifact in store.get_artifacts_by_type("PushedModel")
        if (push := read_push(to_properties(artifact)))
    ]
    if not pushes:
        return True
    last, artifact_id = max(pushes, key=lambda pair: int(pair[0].version))
    version = last.version
    if _newest_version(folders.serving) != version:
        return False
    if last.tflite and not (_newest_version(folders.tflite) == version and is_complete(folders.tflite / version)):
        return False
    executions = {
        each.execution_id for each in store.get_events_by_artifact_ids([artifact_id]) if each.type == Event.OUTPUT
    }
    inputs = store.get_events_by_execution_ids(list(executions))
    return set(artifacts) <= {each.artifact_id for each in inputs if each.type == Event.INPUT}


def _newest_version(folder: Path) -> str | None:
    return max((path.name for path in folder.glob("*") if path.name.isdigit()), key=int, default=None)
