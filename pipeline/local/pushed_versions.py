"""Is the model of a run what a server and the devices find?"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from custom_components.pusher.device import is_whole
from custom_components.pusher.executor import PUSHED_TFLITE

Event = metadata_store_pb2.Event


class Folders(NamedTuple):
    """Where versions are pushed: for the server, and for devices."""

    serving: Path
    tflite: Path


def is_served(store: metadata_store.MetadataStore, folders: Folders, made: Collection[int]) -> bool:
    """Whether the newest version in each folder is the last push, is whole, and was made from these artifacts.

    A Pusher that is answered from the cache pushes nothing: that is right only if this holds. It does not after
    another model was pushed meanwhile, or the same one for devices in another form, or a folder was emptied.

    Args:
        store: ML Metadata.
        folders: Where versions are pushed.
        made: Ids of the artifacts that are to be pushed: the model, and the TFLite model if there is one.
    """
    pushes = [
        artifact
        for artifact in store.get_artifacts_by_type("PushedModel")
        if artifact.custom_properties["pushed"].int_value
    ]
    if not pushes:
        return True
    last = max(pushes, key=lambda artifact: int(artifact.custom_properties["pushed_version"].string_value))
    version = last.custom_properties["pushed_version"].string_value
    if _newest(folders.serving) != version:
        return False
    for_devices = last.custom_properties[PUSHED_TFLITE].string_value
    if for_devices and not (_newest(folders.tflite) == version and is_whole(folders.tflite / version)):
        return False
    executions = {
        each.execution_id for each in store.get_events_by_artifact_ids([last.id]) if each.type == Event.OUTPUT
    }
    inputs = store.get_events_by_execution_ids(list(executions))
    return set(made) <= {each.artifact_id for each in inputs if each.type == Event.INPUT}


def _newest(folder: Path) -> str | None:
    return max((path.name for path in folder.glob("*") if path.name.isdigit()), key=int, default=None)
