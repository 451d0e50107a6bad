"""Executors of Trainer and Tuner on Vertex AI: the step starts a job where more than its own container works."""

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
from models.settings import ModelConfig
from models.tuning.tuner import run_trials
from models.tuning.vizier import open_study

# In custom_config, beside what run_fn and tuner_fn read: ``project``, ``region`` and, where there is one, ``job``.
VERTEX = "vertex"
COMMAND = ["python", "-m", "custom_components.vertex_jobs.replica"]
Artifacts = dict[str, list[Artifact]]


class JobTrainer(BaseExecutor):
    """Has a job train: each of its replicas runs TFX's own Trainer, and so ``run_fn``."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs the job.

        Args:
            input_dict: The Trainer's.
            output_dict: The Trainer's.
            exec_properties: The Trainer's; ``custom_config`` also has :data:`VERTEX`.

        Raises:
            JobFailedError: The job failed.
            CloudError: It cannot be run.
        """
        vertex, properties = _taken(exec_properties)
        _run(vertex, GenericExecutor, (input_dict, output_dict, properties), MODEL_RUN_KEY)


class VertexTuner(Executor):
    """TFX's, which has a job run the trials where several machines do, and opens Vizier's study where it is asked."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Searches, here or in a job.

        Args:
            input_dict: The Tuner's.
            output_dict: The Tuner's.
            exec_properties: The Tuner's; ``custom_config`` also has :data:`VERTEX`.

        Raises:
            JobFailedError: The job failed.
            CloudError: It cannot be run, or Vizier cannot be reached.
        """
        vertex, properties = _taken(exec_properties)
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
        """The pipeline run's, which a retried step shares: the folder of all its tasks, above this one's own."""
        return PurePosixPath(self._get_tmp_dir()).parents[2].name


class TunerReplica(Executor):
    """One replica of a job that searches: the chief is TFX's Tuner, and the others run trials alone."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs trials until there are no more; the chief writes the best hyperparameters.

        Args:
            input_dict: The Tuner's.
            output_dict: The Tuner's.
            exec_properties: The Tuner's.

        Raises:
            DivergedError: All trials did.
            FatalError: A trial failed for a reason that the next one would meet too.
        """
        with tempfile.TemporaryDirectory(prefix="tuner") as self._folder:
            if this_task().is_chief:
                super().Do(input_dict, output_dict, exec_properties)
            else:
                given = fn_args_utils.get_common_fn_args(input_dict, exec_properties, self._folder)
                run_trials(Job.from_fn_args(given), self._folder)

    def _get_tmp_dir(self) -> str:
        """A folder of this machine's: TFX's script has none for its executors."""
        return self._folder


def _taken(exec_properties: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is for this step, and the properties without it, as ``run_fn`` and ``tuner_fn`` read them."""
    config = json.loads(exec_properties[CUSTOM_CONFIG_KEY])
    vertex = config.pop(VERTEX)
    return vertex, {**exec_properties, CUSTOM_CONFIG_KEY: json.dumps(config)}


def _connection(vertex: dict[str, Any]) -> Connection:
    return connect(vertex["project"], vertex["region"])


def _run(
    vertex: dict[str, Any],
    executor: type[BaseExecutor],
    given: tuple[Artifacts, Artifacts, dict[str, Any]],
    output: str,
) -> None:
    """Has a job run an executor in each of its replicas; what it leaves besides is beside one of the outputs."""
    inputs, outputs, properties = given
    folder = os.path.join(artifact_utils.get_single_uri(outputs[output]), "")
    arguments = [
        folder,
        f"--executor_class_path={name_utils.get_full_name(executor)}",
        f"--inputs={artifact_utils.jsonify_artifact_dict(inputs)}",
        f"--outputs={artifact_utils.jsonify_artifact_dict(outputs)}",
        f"--exec-properties={json.dumps(properties)}",
    ]
    job = copy.deepcopy(vertex["job"])
    job["jobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": folder}
    for pool in job["jobSpec"]["workerPoolSpecs"]:
        # Reduction servers run what is in their image.
        if pool["containerSpec"]["imageUri"] == vertex["image"]:
            pool["containerSpec"] |= {"command": COMMAND, "args": arguments}
    run_job(_connection(vertex), job, folder)
