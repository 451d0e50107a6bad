"""Is the model of a run what a server and the devices find?"""

from collections.abc import Collection
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from custom_components.pusher.executor import PUSHED_TFLITE

Event = metadata_store_pb2.Event


def is_served(store: metadata_store.MetadataStore, serving_dir: Path, made: Collection[int]) -> bool:
    """Whether the newest version in ``serving_dir`` is the last push, is whole, and was made from these artifacts.

    A Pusher that is answered from the cache pushes nothing: that is right only if this holds. It does not after
    another model was pushed meanwhile, or the same one for devices in another form, or a folder was emptied.

    Args:
        store: ML Metadata.
        serving_dir: Folder of numbered versions.
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
    versions = [path.name for path in serving_dir.glob("*") if path.name.isdigit()]
    newest = max(versions, key=int, default=None)
    if newest != last.custom_properties["pushed_version"].string_value:
        return False
    device = last.custom_properties[PUSHED_TFLITE].string_value
    if device and not Path(device).exists():
        return False
    executions = {
        each.execution_id for each in store.get_events_by_artifact_ids([last.id]) if each.type == Event.OUTPUT
    }
    inputs = store.get_events_by_execution_ids(list(executions))
    return set(made) <= {each.artifact_id for each in inputs if each.type == Event.INPUT}
