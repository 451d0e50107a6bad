"""SkewGuard: checks that the served model predicts what the trained model predicts."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from custom_components.shared.artifact_types import SkewReport
from custom_components.shared.model_check import ModelCheck, ModelCheckSpec
from custom_components.skew_guard.executor import Executor


class SkewGuardSpec(ComponentSpec):
    """Inputs, outputs and parameters of :class:`SkewGuard`.

    ``max_seconds`` and ``max_megabytes`` limit the process that loads the model as a server does.
    """

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        **ModelCheckSpec.PARAMETERS,
        "max_seconds": ExecutionParameter(type=int),
        "max_megabytes": ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = ModelCheckSpec.INPUTS
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "report": ChannelParameter(type=SkewReport),
    }


class SkewGuard(ModelCheck):
    """Compares the signatures of a model with its training graph, and loads the model as a server does.

    Its blessing is an ``InfraBlessing`` that contains the model with warm-up requests, like InfraValidator's. Connect
    it to the Pusher.
    """

    SPEC_CLASS = SkewGuardSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    MODULES: ClassVar[tuple[str, ...]] = ("artifacts.nodes.skew", "artifacts.files")
