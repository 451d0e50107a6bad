"""The jobs that Trainer and Tuner start on Vertex AI where more than a step's own container works."""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from tfx.components import Tuner
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec

from models.distributed.task import REDUCTION
from pipeline.config.cloud import Machine
from pipeline.config.settings import Config

Json: TypeAlias = dict[str, Any]
_Node = TypeVar("_Node", bound=BaseComponent)
TRAINER, TUNER = "Trainer", "Tuner"
TPU, COORDINATED = "tpu", "parameter_server"
TPU_NAME = {"TPU_NAME": "local"}  # the machine's own; see models.distributed.strategy


def custom_job(config: Config, node: str) -> Json | None:
    """The job that a step starts, as JSON of aiplatform's ``CustomJob``, but for the command, which it knows itself.

    Vertex AI numbers the worker pools: the chief, its workers, then parameter servers or reduction servers.

    Args:
        config: All settings.
        node: ``Trainer`` or ``Tuner``.

    Returns:
        The job; ``None`` where the step itself does the work.
    """
    if config.orchestrator == "local":
        return None
    pools = _tuning_pools(config) if node == TUNER else _training_pools(config)
    if not pools:
        return None
    vertex = config.vertex
    spec: Json = {"workerPoolSpecs": pools}
    if len(pools) > 1 and not _is_coordinated(config, node):
        # Workers that take each step together cannot take in a new one; training goes on from its last checkpoint.
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


def step_settings(config: Config, node: str) -> dict[str, object]:
    """What the executors of :mod:`custom_components.vertex_jobs` are told; empty where TFX's own do the work.

    Args:
        config: All settings.
        node: ``Trainer`` or ``Tuner``.

    Returns:
        Keys for ``custom_config``.
    """
    vertex, job = config.vertex, custom_job(config, node)
    asks = node == TUNER and config.orchestrator == "vertex" and config.tuning.algorithm == "vizier"
    if not job and not asks:
        return {}
    return {"vertex": {"project": vertex.project, "region": vertex.region, "image": vertex.image, "job": job}}


def with_executor(node: _Node, settings: Mapping[str, object]) -> _Node:
    """The node, with the executor that reads the settings of :func:`step_settings`, if there are any."""
    if settings:
        from custom_components.vertex_jobs import executor  # noqa: PLC0415 - seconds, which runs here do not pay

        node.executor_spec = ExecutorClassSpec(executor.VertexTuner if isinstance(node, Tuner) else executor.JobTrainer)
    return node


def machine_spec(machine: Machine) -> Json:
    """The machine as JSON of aiplatform's ``MachineSpec``."""
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
    if training.strategy == COORDINATED:
        servers = _containers(config, vertex.parameter_servers, training.parameter_servers)
        return [_pool(config, TRAINER, 1), _pool(config, TRAINER, training.workers), servers]
    if training.workers == 1:
        return []
    if not vertex.reduction_servers:
        return [_pool(config, TRAINER, 1), _pool(config, TRAINER, training.workers - 1)]
    reducing = vertex.reduction_servers
    environment = {REDUCTION: str(reducing.count)}
    reducers = {
        "machineSpec": {"machineType": reducing.machine},
        "replicaCount": reducing.count,
        "containerSpec": {"imageUri": reducing.image},
    }
    workers = training.workers - 1
    return [_pool(config, TRAINER, 1, environment), _pool(config, TRAINER, workers, environment), reducers]


def _tuning_pools(config: Config) -> list[Json]:
    if config.training.strategy == TPU:
        return [_pool(config, TUNER, 1, TPU_NAME)]
    if config.tuning.workers == 1:
        return []
    return [_pool(config, TUNER, 1), _pool(config, TUNER, config.tuning.workers - 1)]


def _is_coordinated(config: Config, node: str) -> bool:
    """Whether a lost worker may come back while the others work."""
    return node == TUNER or config.training.strategy == COORDINATED


def _pool(config: Config, node: str, count: int, environment: dict[str, str] | None = None) -> Json:
    return _containers(config, config.vertex.machines.get(node, Machine()), count, environment)


def _containers(config: Config, machine: Machine, count: int, environment: dict[str, str] | None = None) -> Json:
    container: Json = {"imageUri": config.vertex.image}
    if environment:
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    return {"machineSpec": machine_spec(machine), "replicaCount": count, "containerSpec": container}
