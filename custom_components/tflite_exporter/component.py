"""TfliteExporter: converts the blessed model to TFLite, with raw features as inputs."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from custom_components.shared.artifact_types import TfliteModel
from custom_components.shared.model_check import ModelCheck, ModelCheckSpec
from custom_components.tflite_exporter.executor import Executor


class TfliteExporterSpec(ComponentSpec):
    """Inputs, outputs and parameters of :class:`TfliteExporter`.

    ``representative_split`` is the split whose rows calibrate ``int8`` activations. ``max_difference`` and
    ``max_quality_loss`` are the bounds that the TFLite model has to meet.
    """

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        **ModelCheckSpec.PARAMETERS,
        "representative_split": ExecutionParameter(type=str),
        "quantization": ExecutionParameter(type=str),
        "max_difference": ExecutionParameter(type=float),
        "max_quality_loss": ExecutionParameter(type=float),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        **ModelCheckSpec.INPUTS,
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {"tflite_model": ChannelParameter(type=TfliteModel)}


class TfliteExporter(ModelCheck):
    """Converts a model that the Evaluator and SkewGuard blessed, and compares the result with the SavedModel.

    The output has its own blessing. Connect it to the Pusher.
    """

    SPEC_CLASS = TfliteExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    MODULES: ClassVar[tuple[str, ...]] = (
        "artifacts.files",
        "artifacts.metric_kinds",
        "artifacts.slices",
        "artifacts.nodes.tflite",
        "artifacts.thresholds",
        "custom_components.shared.tflite_file",
        "serving.edge",
    )
