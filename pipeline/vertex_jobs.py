"""Custom jobs that Trainer and Tuner start on Vertex AI when one container is not enough."""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from tfx.components import Tuner
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec

from models.distributed.task import REDUCTION_SERVERS
from pipeline.config.settings import Config
from pipeline.config.vertex import Machine
from pipeline.nodes import TRAINER, TUNER

Json: TypeAlias = dict[str, Any]
_Node = TypeVar("_Node", bound=BaseComponent)
TPU, PARAMETER_SERVER = "tpu", "parameter_server"
TPU_NAME = {"TPU_NAME": "local"}  # the TPU of the same machine, as in models.distributed.strategy


def custom_job(config: Config, node: str) -> Json | None:
    """Returns the job that a step starts, as the JSON of aiplatform's ``CustomJob`` without the command.

    Vertex AI numbers the worker pools: the chief, its workers, then parameter servers or reduction servers.

    Args:
        config: All settings.
        node: ``Trainer`` or ``Tuner``.

    Returns:
        The job, or ``None`` if the step does the work in its own container.
    """
    if config.orchestrator == "local":
        return None
    pools = _tuning_pools(config) if node == TUNER else _training_pools(config)
    if not pools:
        return None
    vertex = config.vertex
    spec: Json = {"workerPoolSpecs": pools}
    if len(pools) > 1 and not _can_replace_workers(config, node):
        # Synchronous workers cannot take in a restarted one, so the job restarts from the last checkpoint.
        spec["scheduling"] = {"restartJobOnWorkerRestart": True}
    if vertex.service_account:
        spec["serviceAccount"] = vertex.service_account
    if vertex.network:
        spec["network"] = vertex.network
    job: Json = {"displayName": f"{config.name}-{node.lower()}", "jobSpec": spec}
    if vertex.labels:
        job["labels"] = dict(vertex.labels)
    if vertex.encryption_key:
        job["encryptionSpec"] = {"kmsKeyName": vertex.encryption_key}
    return job


def job_settings(config: Config, node: str) -> dict[str, object]:
    """Returns the settings of the executors in :mod:`custom_components.vertex_jobs`.

    Args:
        config: All settings.
        node: ``Trainer`` or ``Tuner``.

    Returns:
        Keys for ``custom_config``, or an empty mapping if TFX's own executor does the work.
    """
    vertex, job = config.vertex, custom_job(config, node)
    uses_vizier = node == TUNER and config.orchestrator == "vertex" and config.tuning.algorithm == "vizier"
    if not job and not uses_vizier:
        return {}
    return {"vertex": {"project": vertex.project, "region": vertex.region, "image": vertex.image, "job": job}}


def with_job_executor(node: _Node, settings: Mapping[str, object]) -> _Node:
    """Gives the node the executor for :func:`job_settings` if there are any, and returns the node."""
    if settings:
        from custom_components.vertex_jobs import executor  # noqa: PLC0415 - takes seconds, and local runs do not need it

        node.executor_spec = ExecutorClassSpec(executor.VertexTuner if isinstance(node, Tuner) else executor.JobTrainer)
    return node


def machine_spec(machine: Machine) -> Json:
    """Returns the machine as the JSON of aiplatform's ``MachineSpec``."""
    spec: Json = {"machineType": machine.type}
    if machine.accelerator:
        spec |= {"acceleratorType": machine.accelerator, "acceleratorCount": machine.accelerators}
    if machine.tpu_topology:
        spec["tpuTopology"] = machine.tpu_topology
    return spec


def _training_pools(config: Config) -> list[Json]:
    training, vertex = config.training, config.vertex
    if training.strategy == TPU:
        return [_pool(config, TRAINER, 1, TPU_NAME)]
    if training.strategy == PARAMETER_SERVER:
        servers = _containers(config, vertex.parameter_servers, training.parameter_servers)
        return [_pool(config, TRAINER, 1), _pool(config, TRAINER, training.workers), servers]
    if training.workers == 1:
        return []
    if not vertex.reduction_servers:
        return [_pool(config, TRAINER, 1), _pool(config, TRAINER, training.workers - 1)]
    reduction = vertex.reduction_servers
    environment = {REDUCTION_SERVERS: str(reduction.count)}
    reducers = {
        "machineSpec": {"machineType": reduction.machine},
        "replicaCount": reduction.count,
        "containerSpec": {"imageUri": reduction.image},
    }
    workers = training.workers - 1
    return [_pool(config, TRAINER, 1, environment), _pool(config, TRAINER, workers, environment), reducers]


def _tuning_pools(config: Config) -> list[Json]:
    if config.training.strategy == TPU:
        return [_pool(config, TUNER, 1, TPU_NAME)]
    if config.tuning.workers == 1:
        return []
    return [_pool(config, TUNER, 1), _pool(config, TUNER, config.tuning.workers - 1)]


def _can_replace_workers(config: Config, node: str) -> bool:
    """Returns whether a lost worker can come back while the others keep working."""
    return node == TUNER or config.training.strategy == PARAMETER_SERVER


def _pool(config: Config, node: str, count: int, environment: dict[str, str] | None = None) -> Json:
    return _containers(config, config.vertex.machines.get(node, Machine()), count, environment)


def _containers(config: Config, machine: Machine, count: int, environment: dict[str, str] | None = None) -> Json:
    container: Json = {"imageUri": config.vertex.image}
    if environment:
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    return {"machineSpec": machine_spec(machine), "replicaCount": count, "containerSpec": container}
