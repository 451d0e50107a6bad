"""Compiles the pipeline to the JSON that Vertex AI runs, without network access."""

import contextlib
import json
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import text_format
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

from pipeline.config.errors import ConfigError
from pipeline.config.settings import Config
from pipeline.nodes import ANOMALY_GATE, TRAINER, TUNER
from pipeline.pipeline import create_pipeline
from pipeline.preflight.preflight import CheckedInputs
from pipeline.vertex.machines import check_accelerators, resources
from pipeline.vertex_jobs import custom_job

PipelineJob: TypeAlias = dict[str, Any]
TFX_DRIVER = "tfx.orchestration.kubeflow.v2.file_based_example_gen.driver"
OWN_DRIVER = "custom_components.arrow_example_gen.vertex_driver"
NOT_RETRIED = (ANOMALY_GATE,)  # the same data has the same anomalies
MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 60, 600


def compile_pipeline(inputs: CheckedInputs, enable_cache: bool = True) -> PipelineJob:
    """Compiles the pipeline to a ``PipelineJob`` in plain JSON, with pipeline spec 2.1.

    TFX compiles the DAG. Machines, retries, labels and the encryption key are added, since TFX has no settings for
    them.

    Args:
        inputs: Settings for Vertex AI, and the schema.
        enable_cache: Whether Vertex AI reuses the outputs of unchanged steps.

    Raises:
        ConfigError: The name of a machine type does not give its size, or an accelerator is unknown.
    """
    config = inputs.config
    check_accelerators(config.vertex)
    pipeline = create_pipeline(config, text_format.MessageToString(inputs.schema), enable_cache)
    settings = KubeflowV2DagRunnerConfig(default_image=config.vertex.image, use_pipeline_spec_2_1=True)
    job: PipelineJob = KubeflowV2DagRunner(config=settings).run(pipeline, write_out=False)
    _add_step_settings(job["pipelineSpec"], config)
    job["labels"] = {**job.get("labels", {}), **config.vertex.labels}
    if config.vertex.encryption_key:
        job["encryptionSpec"] = {"kmsKeyName": config.vertex.encryption_key}
    return job


def _add_step_settings(spec: dict[str, Any], config: Config) -> None:
    """Adds retries and machines to the steps of a pipeline spec."""
    for name, task in spec["root"]["dag"]["tasks"].items():
        executor = spec["deploymentSpec"]["executors"][
            spec["components"][task["componentRef"]["name"]]["executorLabel"]
        ]
        if "container" not in executor:
            continue
        _use_own_driver(executor["container"])
        if config.vertex.retries and name not in NOT_RETRIED:
            task["retryPolicy"] = _retry_policy(config.vertex.retries)
        machine = config.vertex.machines.get(name)
        if machine and not (name in (TRAINER, TUNER) and custom_job(config, name)):  # the job has the machine
            try:
                executor["container"]["resources"] = resources(machine)
            except ValueError as error:
                raise ConfigError(f"vertex.machines.{name}.type: {error}") from error


def _use_own_driver(container: dict[str, Any]) -> None:
    """Replaces TFX's driver of ExampleGen, whose fingerprint does not cover the content of the files."""
    hook = container.get("lifecycle", {}).get("preCacheCheck", {})
    if TFX_DRIVER in hook.get("command", ()):
        hook["command"] = [OWN_DRIVER if each == TFX_DRIVER else each for each in hook["command"]]


def write_job(job: PipelineJob, path: Path) -> None:
    """Writes a compiled pipeline atomically.

    Raises:
        ConfigError: The file cannot be written.
    """
    if not path.name:
        raise ConfigError(f"--out: found '{path}'; expected a file, such as pipeline.json")
    if path.exists() and not path.is_file() and not path.is_dir():  # such as /dev/null, which would be replaced
        raise ConfigError(f"--out: found {path}, which is not a regular file; expected a file, such as pipeline.json")
    staged = path.with_name(f".{path.name}.part")
    try:
        staged.write_text(json.dumps(job, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise ConfigError(
            f"--out: cannot write {path} ({error.strerror}); expected a file in an existing folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()


def _retry_policy(retries: int) -> dict[str, object]:
    return {
        "maxRetryCount": retries,
        "backoffDuration": f"{MIN_BACKOFF_SECONDS}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": f"{MAX_BACKOFF_SECONDS}s",
    }
