"""Ablation: trains without each column, to find what it is worth."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from common.source_code import source_digest
from custom_components.ablation.executor import Executor
from custom_components.ablation.settings import AblationSettings
from custom_components.shared.artifact_types import AblationReport

# Modules of other packages that affect the result.
MODULES = (
    "artifacts.files",
    "artifacts.metric_kinds",
    "artifacts.names",
    "artifacts.nodes.ablation",
    "custom_components.batched_evaluator.trivial_model",
    "custom_components.batched_evaluator.trivial_settings",
    "custom_components.shared.examples",
    "custom_components.shared.model_check",
)


class AblationSpec(ComponentSpec):
    """Inputs, outputs and parameters of :class:`Ablation`."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "model_config": ExecutionParameter(type=str),
        "settings": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {"report": ChannelParameter(type=AblationReport)}


class Ablation(base_component.BaseComponent):
    """Trains the network with all columns, without each column and each group of columns, and with each alone."""

    SPEC_CLASS = AblationSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, inputs: Mapping[str, types.BaseChannel], model_config: Mapping[str, Any], settings: AblationSettings
    ) -> None:
        """Creates the node.

        Args:
            inputs: Channels by the names of the spec's inputs.
            model_config: :meth:`models.training_settings.ModelConfig.to_config`. The digest of its code is that of the
                network.
            settings: What to leave out, and how to measure.
        """
        spec = AblationSpec(
            **inputs,
            model_config=json.dumps(model_config, sort_keys=True),
            settings=settings.to_json(),
            code=source_digest("custom_components.ablation", *MODULES),
            report=types.Channel(type=AblationReport),
        )
        super().__init__(spec)
