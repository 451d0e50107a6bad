"""Has the work of Trainer and Tuner done by jobs of Vertex AI, where the settings ask for that."""

from collections.abc import Mapping
from typing import TypeVar

from tfx.components import Tuner
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec

from pipeline.config import Config
from pipeline.vertex.jobs import TUNER, custom_job

_Node = TypeVar("_Node", bound=BaseComponent)


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
