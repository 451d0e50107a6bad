"""Executor that pushes by an atomic rename."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils, proto_utils

from custom_components.skew_guard.executor import HAS_MODEL

STAGING_PREFIX = ".pushing-"


class Executor(executor.Executor):
    """Pushes to a local folder so that a server never sees half a model.

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
        """Pushes the model if it is blessed; the version is the time in seconds, and grows with every push."""
        destination = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], pusher_pb2.PushDestination()
        )
        base_directory = destination.filesystem.base_directory
        if "://" in base_directory:
            super().Do(input_dict, output_dict, exec_properties)
            return
        pushed_model = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed_model)
            return
        model_path = self.GetModelPath(input_dict)
        io_utils.copy_dir(model_path, pushed_model.uri)
        pushed = push(Path(model_path), Path(base_directory))
        self._MarkPushed(pushed_model, pushed_destination=str(pushed), pushed_version=pushed.name)
        logging.info("Pushed %s.", pushed)

    def GetModelPath(self, input_dict: dict[str, list[types.Artifact]]) -> str:
        """Prefers the copy in the infra blessing, which has warm-up requests; TFX takes it only without a model."""
        blessings = input_dict.get(standard_component_specs.INFRA_BLESSING_KEY)
        if blessings and blessings[0].get_int_custom_property(HAS_MODEL):
            return path_utils.stamped_model_path(blessings[0].uri)
        return super().GetModelPath(input_dict)


def push(model: Path, base_directory: Path) -> Path:
    """Copies ``model`` to a new version under ``base_directory`` and returns the version's folder.

    Raises:
        OSError: It cannot be written; then no version is left behind.
    """
    base_directory.mkdir(parents=True, exist_ok=True)
    for left_over in base_directory.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(left_over)
    versions = [int(path.name) for path in base_directory.iterdir() if path.name.isdigit()]
    version = max([int(time.time()), *(number + 1 for number in versions)])
    # TensorFlow Serving ignores names that are no numbers.
    staging = base_directory / f"{STAGING_PREFIX}{version}"
    try:
        shutil.copytree(model, staging)
        os.rename(staging, base_directory / str(version))
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return base_directory / str(version)
