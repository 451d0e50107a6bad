"""Completes or takes back a push whose process was killed before ML Metadata had it."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from absl import logging
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.types import standard_component_specs
from tfx.types.artifact_utils import ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY
from tfx.types.standard_artifacts import PushedModel
from tfx.version import __version__ as tfx_version

from artifacts.names import PROVENANCE_FILE, PUSHED, PUSHED_DESTINATION, PUSHED_TFLITE, PUSHED_VERSION, TFLITE_FILE
from artifacts.nodes.push import is_version
from custom_components.pusher.executor import TFLITE_DIRECTORY
from custom_components.pusher.folders import STAGING_PREFIX
from lineage.recorded.provenance import read_provenance

PUSHED_MODEL_KEY = standard_component_specs.PUSHED_MODEL_KEY
Event = metadata_store_pb2.Event


def recover_push(
    store: metadata_store.MetadataStore, execution: metadata_store_pb2.Execution, run_id: str, node_dir: Path
) -> str | None:
    """Finds the version that an interrupted Pusher left, by the provenance in the version's folder.

    The folder that the server reads is renamed last. So a version in it is complete: it is recorded as the output of
    the execution, which becomes complete, too. A version that only devices have is removed.

    Args:
        store: ML Metadata.
        execution: The execution of the Pusher.
        run_id: Its run.
        node_dir: Folder of the Pusher's artifacts.

    Returns:
        The version, or ``None`` if the server has none of this execution.

    Raises:
        OSError: A version cannot be removed.
    """
    pushed_model = node_dir / PUSHED_MODEL_KEY / str(execution.id)
    serving, device = _folders(execution)
    served = next(_versions(serving, run_id, pushed_model), None)
    on_device = next(_versions(device, run_id, pushed_model), None)
    if served:
        _record(store, execution, pushed_model, served, on_device)
        return served.name
    if on_device:
        _take_back(on_device)
    return None


def _folders(execution: metadata_store_pb2.Execution) -> tuple[Path | None, Path | None]:
    """Returns the folders that the server and devices read versions from, as far as the execution has them."""
    values = {name: value.string_value for name, value in execution.custom_properties.items()}
    serving = device = None
    with contextlib.suppress(KeyError, ValueError):
        destination = json.loads(values[standard_component_specs.PUSH_DESTINATION_KEY])
        serving = Path(destination["filesystem"]["base_directory"])
    if values.get(TFLITE_DIRECTORY):
        device = Path(values[TFLITE_DIRECTORY])
    return serving, device


def _versions(base: Path | None, run_id: str, pushed_model: Path) -> Iterator[Path]:
    """Yields the folders of the versions that an execution pushed."""
    for file in base.glob(f"*/{PROVENANCE_FILE}") if base else ():
        if not is_version(file.parent.name):
            continue
        with contextlib.suppress(ValueError):  # a damaged file says nothing about this execution
            found = read_provenance(file.parent)
            if found and (found.run_id, found.pushed_uri) == (run_id, str(pushed_model)):
                yield file.parent


def _record(
    store: metadata_store.MetadataStore,
    execution: metadata_store_pb2.Execution,
    pushed_model: Path,
    served: Path,
    on_device: Path | None,
) -> None:
    """Publishes the execution as TFX does after its executor has ended."""
    pushed = PushedModel()
    pushed.uri = str(pushed_model)
    pushed.set_int_custom_property(PUSHED, 1)
    pushed.set_string_custom_property(PUSHED_DESTINATION, str(served))
    pushed.set_string_custom_property(PUSHED_VERSION, served.name)
    if on_device:
        pushed.set_string_custom_property(PUSHED_TFLITE, str(on_device / TFLITE_FILE))
    pushed.set_string_custom_property(ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY, tfx_version)
    artifact = pushed.mlmd_artifact
    artifact.type_id = store.put_artifact_type(pushed.artifact_type)
    artifact.state = metadata_store_pb2.Artifact.LIVE
    path = Event.Path(steps=[Event.Path.Step(key=PUSHED_MODEL_KEY), Event.Path.Step(index=0)])
    execution.last_known_state = metadata_store_pb2.Execution.COMPLETE
    contexts = store.get_contexts_by_execution(execution.id)
    store.put_execution(execution, [(artifact, Event(type=Event.OUTPUT, path=path))], contexts)


def _take_back(version: Path) -> None:
    """Removes a version. It disappears at once, so that no reader sees a part of it."""
    removed = version.with_name(f"{STAGING_PREFIX}{version.name}")
    version.rename(removed)
    shutil.rmtree(removed)
    logging.warning("Removed %s, which an interrupted run had not pushed to the server.", version)
