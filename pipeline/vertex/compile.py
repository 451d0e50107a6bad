"""Compiles the pipeline to the JSON that Vertex AI runs; needs no network."""

import contextlib
import json
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

from pipeline.config.errors import ConfigError
from pipeline.config.settings import Config
from pipeline.pipeline import create_pipeline
from pipeline.vertex.custom_jobs import TRAINER, TUNER, custom_job
from pipeline.vertex.machines import check_accelerators, resources

PipelineJob: TypeAlias = dict[str, Any]
NOT_RETRIED = ("AnomalyGate",)  # the same data has the same anomalies
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60, 600


def compile_pipeline(config: Config, schema: schema_pb2.Schema, enable_cache: bool = True) -> PipelineJob:
    """The pipeline as a ``PipelineJob`` in plain JSON, of pipeline spec 2.1.

    TFX compiles the DAG; what it has no place for is added: machines, retries, labels and the encryption key.

    Args:
        config: Settings for Vertex AI.
        schema: The curated schema.
        enable_cache: Whether Vertex AI answers a step whose inputs did not change from an earlier run.

    Raises:
        ConfigError: A machine type does not tell its size, or Vertex AI does not know an accelerator.
    """
    check_accelerators(config.vertex)
    pipeline = create_pipeline(config, text_format.MessageToString(schema), enable_cache)
    settings = KubeflowV2DagRunnerConfig(default_image=config.vertex.image, use_pipeline_spec_2_1=True)
    job: PipelineJob = KubeflowV2DagRunner(config=settings).run(pipeline, write_out=False)
    spec = job["pipelineSpec"]
    for name, task in spec["root"]["dag"]["tasks"].items():
        executor = spec["deploymentSpec"]["executors"][
            spec["components"][task["componentRef"]["name"]]["executorLabel"]
        ]
        if "container" not in executor:
            continue
        if config.vertex.retries and name not in NOT_RETRIED:
            task["retryPolicy"] = _retry_policy(config.vertex.retries)
        machine = config.vertex.machines.get(name)
        if machine and not (name in (TRAINER, TUNER) and custom_job(config, name)):  # else they are its job's
            try:
                executor["container"]["resources"] = resources(machine)
            except ValueError as error:
                raise ConfigError(f"vertex.machines.{name}.type: {error}") from error
    job["labels"] = {**job.get("labels", {}), **config.vertex.labels}
    if config.vertex.encryption_key:
        job["encryptionSpec"] = {"kmsKeyName": config.vertex.encryption_key}
    return job


def write_job(job: PipelineJob, path: Path) -> None:
    """Writes a compiled pipeline, whole or not at all.

    Raises:
        ConfigError: It cannot be written.
    """
    if not path.name:
        raise ConfigError(f"--out: found '{path}'; expected a file, such as pipeline.json")
    staged = path.with_name(f".{path.name}.part")
    try:
        staged.write_text(json.dumps(job, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise ConfigError(
            f"--out: cannot write {path} ({error.strerror}); expected a file in a folder that is there"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()


def _retry_policy(retries: int) -> dict[str, object]:
    return {
        "maxRetryCount": retries,
        "backoffDuration": f"{FIRST_WAIT_SECONDS}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": f"{LONGEST_WAIT_SECONDS}s",
    }
