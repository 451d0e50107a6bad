"""TfliteExporter: the blessed model for a device, raw features in."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from custom_components.tflite_exporter.artifact import TfliteModel
from custom_components.tflite_exporter.executor import Executor


class TfliteExporterSpec(ComponentSpec):
    """Inputs, outputs and settings of :class:`TfliteExporter`."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "problem": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "representative_split": ExecutionParameter(type=str),
        "quantization": ExecutionParameter(type=str),
        "max_examples": ExecutionParameter(type=int),
        "max_difference": ExecutionParameter(type=float),
        "max_quality_loss": ExecutionParameter(type=float),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {"tflite_model": ChannelParameter(type=TfliteModel)}


class TfliteExporter(base_component.BaseComponent):
    """Converts a model that the Evaluator and the skew guard blessed, and holds the result against it.

    Its output carries a blessing of its own: give it to the Pusher.
    """

    SPEC_CLASS = TfliteExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, inputs: Mapping[str, types.BaseChannel], settings: Mapping[str, Any]) -> None:
        """Makes the node.

        Args:
            inputs: ``examples`` (raw), ``transformed_examples``, ``transform_graph``, ``model``, ``model_blessing`` and
                ``infra_blessing``.
            settings: ``problem`` (:meth:`models.features.Problem.to_config`), ``model_name``, ``split`` (compared),
                ``max_examples`` (rows of it), ``representative_split`` (shows ``int8`` the range of the activations),
                ``quantization``, ``max_difference`` and ``max_quality_loss`` (bounds), ``code`` (digest of the
                exporter's own code).
        """
        parameters = {**settings, "problem": json.dumps(settings["problem"], sort_keys=True)}
        super().__init__(TfliteExporterSpec(**inputs, **parameters, tflite_model=types.Channel(type=TfliteModel)))
