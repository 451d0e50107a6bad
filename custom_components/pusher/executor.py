"""Executor of AtomicPusher."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils, proto_utils

from artifacts.names import BLESSED, HAS_MODEL, PUSHED_TFLITE, TFLITE_FILE
from common.bucket_paths import mounted_path
from common.remote_paths import is_remote
from custom_components.pusher.buckets import push_to_buckets
from custom_components.pusher.device import write_device_model
from custom_components.pusher.folders import Writer, push_to_folders
from lineage.recorded.provenance import Provenance, with_code_and_time, write_provenance

TFLITE_MODEL, TFLITE_DIRECTORY = "tflite_model", "tflite_directory"


class Executor(executor.Executor):
    """Pushes a model so that no reader ever sees an incomplete version.

    TFX's executor copies files into the version's folder one by one. If its process is killed, an incomplete model is
    left for the server to load.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed, and the model for devices as the same version.

        The version is the time in seconds, and increases with every push.
        """
        destination = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], pusher_pb2.PushDestination()
        )
        pushed_model = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed_model)
            return
        model_path, serving_dir = self.GetModelPath(input_dict), destination.filesystem.base_directory.rstrip("/")
        io_utils.copy_dir(model_path, pushed_model.uri)
        writers: dict[str, Writer] = {}
        if TFLITE_MODEL in input_dict:
            tflite_dir = exec_properties[TFLITE_DIRECTORY].rstrip("/")
            exported = Path(mounted_path(artifact_utils.get_single_uri(input_dict[TFLITE_MODEL]))) / TFLITE_FILE
            run_id = self._run_id
            writers[tflite_dir] = lambda folder, version: write_device_model(exported, folder, version, run_id)
        writers[serving_dir] = lambda folder, _version: io_utils.copy_dir(model_path, str(folder))
        provenance = self._provenance(input_dict, pushed_model)
        version = _push({base: _with_provenance(write, provenance) for base, write in writers.items()})
        pushed = f"{serving_dir}/{version}"
        self._MarkPushed(pushed_model, pushed_destination=pushed, pushed_version=str(version))
        if TFLITE_MODEL in input_dict:
            pushed_model.set_string_custom_property(PUSHED_TFLITE, f"{tflite_dir}/{version}/{TFLITE_FILE}")
        logging.info("Pushed %s.", pushed)

    @property
    def _run_id(self) -> str | None:
        return self._context.pipeline_run_id if self._context else None

    def _provenance(self, input_dict: dict[str, list[types.Artifact]], pushed_model: types.Artifact) -> Provenance:
        """The provenance of the model, as far as it is known without ML Metadata."""
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        info = self._context.pipeline_info if self._context else None
        return with_code_and_time(
            Provenance(
                pipeline=info.id if info else None,
                run_id=self._run_id,
                version="",  # set by the push
                model_id=model.id,
                model_uri=model.uri,
                pushed_uri=pushed_model.uri,
            )
        )

    def CheckBlessing(self, input_dict: dict[str, list[types.Artifact]]) -> bool:
        """Checks TfliteExporter's blessing too: a model is pushed to the server and to devices, or to neither."""
        exported = input_dict.get(TFLITE_MODEL, ())
        return super().CheckBlessing(input_dict) and all(each.get_int_custom_property(BLESSED) for each in exported)

    def GetModelPath(self, input_dict: dict[str, list[types.Artifact]]) -> str:
        """Returns the copy in the infra blessing, with warm-up requests. TFX uses it only if there is no model."""
        blessings = input_dict.get(standard_component_specs.INFRA_BLESSING_KEY)
        if blessings and blessings[0].get_int_custom_property(HAS_MODEL):
            return path_utils.stamped_model_path(blessings[0].uri)
        return super().GetModelPath(input_dict)


def _with_provenance(write: Writer, provenance: Provenance) -> Writer:
    """Returns a writer that adds ``provenance.json`` to the files of a version."""

    def fill(folder: Path, version: int) -> None:
        write(folder, version)
        write_provenance(folder, dataclasses.replace(provenance, version=str(version)))

    return fill


def _push(writers: Mapping[str, Writer]) -> int:
    if any(map(is_remote, writers)):
        return push_to_buckets(writers)
    return push_to_folders({Path(base): write for base, write in writers.items()})
