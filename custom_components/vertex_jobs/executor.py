"""Executors of Trainer and Tuner on Vertex AI that start a job if more than one container is needed."""

import copy
import json
import os
import tempfile
from pathlib import PurePosixPath
from typing import Any

from tfx.components.trainer import fn_args_utils
from tfx.components.trainer.executor import GenericExecutor
from tfx.components.tuner.executor import Executor
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_component_specs import CUSTOM_CONFIG_KEY, MODEL_RUN_KEY, TUNER_RESULTS_KEY
from tfx.utils import name_utils

from cloud.vertex import Connection, connect
from custom_components.vertex_jobs.job import run_job
from models.distributed.task import this_task
from models.job import Job
from models.training_settings import ModelConfig
from models.tuning.tuner import run_trials
from models.tuning.vizier import open_study

# Key in custom_config, in addition to those of run_fn and tuner_fn: ``project``, ``region`` and, optionally, ``job``.
VERTEX = "vertex"
COMMAND = ["python", "-m", "custom_components.vertex_jobs.replica"]
Artifacts = dict[str, list[Artifact]]


class JobTrainer(BaseExecutor):
    """Trains in a job. Each replica runs TFX's Trainer, and with it ``run_fn``."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs the job.

        Args:
            input_dict: Inputs of the Trainer.
            output_dict: Outputs of the Trainer.
            exec_properties: Properties of the Trainer. ``custom_config`` also has :data:`VERTEX`.

        Raises:
            JobFailedError: The job failed.
            CloudError: The job cannot be run.
        """
        vertex, properties = _split_config(exec_properties)
        _run(vertex, GenericExecutor, (input_dict, output_dict, properties), MODEL_RUN_KEY)


class VertexTuner(Executor):
    """TFX's Tuner, which runs the trials in a job if there are several machines, and creates Vizier's study."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs the search, in this process or in a job.

        Args:
            input_dict: Inputs of the Tuner.
            output_dict: Outputs of the Tuner.
            exec_properties: Properties of the Tuner. ``custom_config`` also has :data:`VERTEX`.

        Raises:
            JobFailedError: The job failed.
            CloudError: The job cannot be run, or Vizier is unavailable.
        """
        vertex, properties = _split_config(exec_properties)
        settings = json.loads(properties[CUSTOM_CONFIG_KEY])
        config = ModelConfig.from_config(settings)
        if config.tuning and config.tuning.algorithm == "vizier":
            study = open_study(_connection(vertex), self._run_name(), config.tuning.search)
            properties[CUSTOM_CONFIG_KEY] = json.dumps({**settings, "study": study})
        if vertex.get("job"):
            _run(vertex, TunerReplica, (input_dict, output_dict, properties), TUNER_RESULTS_KEY)
        else:
            super().Do(input_dict, output_dict, properties)

    def _run_name(self) -> str:
        """Name of the pipeline run, which a retried step shares: the folder of all its tasks."""
        return PurePosixPath(self._get_tmp_dir()).parents[2].name


class TunerReplica(Executor):
    """A replica of a search job: the chief is TFX's Tuner, and the others only run trials."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs trials until there are none left. The chief writes the best hyperparameters.

        Args:
            input_dict: Inputs of the Tuner.
            output_dict: Outputs of the Tuner.
            exec_properties: Properties of the Tuner.

        Raises:
            DivergedError: All trials diverged.
            FatalError: A trial failed for a reason that affects all trials.
        """
        with tempfile.TemporaryDirectory(prefix="tuner") as self._folder:
            if this_task().is_chief:
                super().Do(input_dict, output_dict, exec_properties)
            else:
                given = fn_args_utils.get_common_fn_args(input_dict, exec_properties, self._folder)
                run_trials(Job.from_fn_args(given), self._folder)

    def _get_tmp_dir(self) -> str:
        """A local folder: TFX's script sets none for its executors."""
        return self._folder


def _split_config(exec_properties: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separates Vertex AI's part of ``custom_config`` from the properties for ``run_fn`` and ``tuner_fn``."""
    config = json.loads(exec_properties[CUSTOM_CONFIG_KEY])
    vertex = config.pop(VERTEX)
    return vertex, {**exec_properties, CUSTOM_CONFIG_KEY: json.dumps(config)}


def _connection(vertex: dict[str, Any]) -> Connection:
    return connect(vertex["project"], vertex["region"])


def _run(
    vertex: dict[str, Any],
    executor: type[BaseExecutor],
    arguments: tuple[Artifacts, Artifacts, dict[str, Any]],
    output: str,
) -> None:
    """Runs an executor in each replica of a job. The job's other files are written next to one of the outputs."""
    inputs, outputs, properties = arguments
    folder = os.path.join(artifact_utils.get_single_uri(outputs[output]), "")
    command_arguments = [
        folder,
        f"--executor_class_path={name_utils.get_full_name(executor)}",
        f"--inputs={artifact_utils.jsonify_artifact_dict(inputs)}",
        f"--outputs={artifact_utils.jsonify_artifact_dict(outputs)}",
        f"--exec-properties={json.dumps(properties)}",
    ]
    job = copy.deepcopy(vertex["job"])
    job["jobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": folder}
    for pool in job["jobSpec"]["workerPoolSpecs"]:
        # Reduction servers run the command of their image.
        if pool["containerSpec"]["imageUri"] == vertex["image"]:
            pool["containerSpec"] |= {"command": COMMAND, "args": command_arguments}
    run_job(_connection(vertex), job, folder)
