"""SkewGuard: proves that what is served is what was trained."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from custom_components.skew_guard.executor import Executor


class SkewReport(types.artifact.Artifact):
    """``report.json``: what was compared and the first difference; see ``report.Report``."""

    TYPE_NAME = "custom_components.SkewReport"


class SkewGuardSpec(ComponentSpec):
    """Inputs, outputs and settings of :class:`SkewGuard`."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "problem": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "max_examples": ExecutionParameter(type=int),
        "max_seconds": ExecutionParameter(type=int),
        "max_megabytes": ExecutionParameter(type=int),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "model": ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "report": ChannelParameter(type=SkewReport),
    }


class SkewGuard(base_component.BaseComponent):
    """Compares the serving side of a model with its training side, and loads it as a server does.

    Its blessing is an ``InfraBlessing`` that holds the model with warm-up requests, as InfraValidator's does: give it
    to the Pusher.
    """

    SPEC_CLASS = SkewGuardSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, inputs: Mapping[str, types.BaseChannel], settings: Mapping[str, Any]) -> None:
        """Makes the node.

        Args:
            inputs: ``examples`` (raw), ``transformed_examples``, ``transform_graph`` and ``model``.
            settings: ``problem`` (:meth:`models.features.Problem.to_config`), ``model_name`` (for the warm-up
                requests), ``split`` (replayed), ``max_examples``, ``max_seconds`` and ``max_megabytes`` (limits),
                ``code`` (digest of the guard's own code, so that a changed guard runs again).
        """
        blessing = types.Channel(type=standard_artifacts.InfraBlessing)
        report = types.Channel(type=SkewReport)
        parameters = {**settings, "problem": json.dumps(settings["problem"], sort_keys=True)}
        super().__init__(SkewGuardSpec(**inputs, **parameters, blessing=blessing, report=report))
