"""Executor that pushes by an atomic rename, to a server and to devices."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from absl import logging
from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils, proto_utils

from custom_components.pusher.device import write_device_model
from custom_components.skew_guard.executor import HAS_MODEL
from custom_components.tflite_exporter.artifact import BLESSED, MODEL_FILE

STAGING_PREFIX = ".pushing-"
TFLITE_MODEL, TFLITE_DIRECTORY = "tflite_model", "tflite_directory"
PUSHED_TFLITE = "pushed_tflite"

# Fills a new folder with the version of that number.
Writer: TypeAlias = Callable[[Path, int], None]


class Executor(executor.Executor):
    """Pushes to local folders so that no reader ever sees half a model.

    TFX's own executor copies file by file into the version's folder: a process that is killed meanwhile leaves half
    a model there for the server to load. Object stores have no rename, so a remote destination is left to TFX,
    which writes ``saved_model.pb`` last.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed, and with it, under the same version, the one for devices.

        The version is the time in seconds, and grows with every push.
        """
        destination = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], pusher_pb2.PushDestination()
        )
        base_directory = destination.filesystem.base_directory
        if "://" in base_directory:
            if TFLITE_MODEL in input_dict:
                raise ValueError(
                    f"found {base_directory}, where no folder can be renamed; expected a local one for devices: set "
                    "tflite.enabled to false"
                )
            super().Do(input_dict, output_dict, exec_properties)
            return
        pushed_model = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed_model)
            return
        model_path = self.GetModelPath(input_dict)
        io_utils.copy_dir(model_path, pushed_model.uri)
        writers: dict[Path, Writer] = {}
        if TFLITE_MODEL in input_dict:
            device = Path(exec_properties[TFLITE_DIRECTORY])
            exported = Path(artifact_utils.get_single_uri(input_dict[TFLITE_MODEL])) / MODEL_FILE
            run_id = self._context.pipeline_run_id if self._context else None
            writers[device] = lambda folder, version: write_device_model(exported, folder, version, run_id)
        writers[Path(base_directory)] = lambda folder, _version: io_utils.copy_dir(model_path, str(folder))
        version = push(writers)
        pushed = Path(base_directory) / str(version)
        self._MarkPushed(pushed_model, pushed_destination=str(pushed), pushed_version=pushed.name)
        if TFLITE_MODEL in input_dict:
            pushed_model.set_string_custom_property(PUSHED_TFLITE, str(device / str(version) / MODEL_FILE))
        logging.info("Pushed %s.", pushed)

    def CheckBlessing(self, input_dict: dict[str, list[types.Artifact]]) -> bool:
        """Asks the TFLite exporter too: a model goes to the server and to the devices, or to neither."""
        exported = input_dict.get(TFLITE_MODEL, ())
        return super().CheckBlessing(input_dict) and all(each.get_int_custom_property(BLESSED) for each in exported)

    def GetModelPath(self, input_dict: dict[str, list[types.Artifact]]) -> str:
        """Prefers the copy in the infra blessing, which has warm-up requests; TFX takes it only without a model."""
        blessings = input_dict.get(standard_component_specs.INFRA_BLESSING_KEY)
        if blessings and blessings[0].get_int_custom_property(HAS_MODEL):
            return path_utils.stamped_model_path(blessings[0].uri)
        return super().GetModelPath(input_dict)


def push(writers: Mapping[Path, Writer]) -> int:
    """Makes a new version under each base directory, and returns its number.

    Args:
        writers: By base directory, what fills the version's folder. Versions appear in this order; a process that is
            killed between two leaves the first one alone.

    Raises:
        OSError: One cannot be written; then no version is left behind. So it is for whatever a writer raises.
    """
    versions = [int(time.time())]
    for base_directory in writers:
        base_directory.mkdir(parents=True, exist_ok=True)
        for left_over in base_directory.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(left_over)
        versions += [int(path.name) + 1 for path in base_directory.iterdir() if path.name.isdigit()]
    version = max(versions)
    # TensorFlow Serving ignores names that are no numbers.
    staged = {base: (base / f"{STAGING_PREFIX}{version}", base / str(version)) for base in writers}
    try:
        for base, (staging, _) in staged.items():
            staging.mkdir()
            writers[base](staging, version)
        for staging, final in staged.values():
            os.rename(staging, final)
    except BaseException:
        for staging, final in staged.values():
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(final, ignore_errors=True)
        raise
    return version
