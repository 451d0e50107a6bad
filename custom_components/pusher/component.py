"""AtomicPusher: TFX's Pusher with atomic pushes, to a server and to devices."""

from typing import ClassVar

from tfx import types
from tfx.components.pusher.component import Pusher
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.types.standard_component_specs import PusherSpec

from custom_components.pusher.executor import TFLITE_DIRECTORY, TFLITE_MODEL, Executor
from custom_components.shared.artifact_types import TfliteModel


class AtomicPusherSpec(PusherSpec):
    """TFX's spec, with the model for devices."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        **PusherSpec.PARAMETERS,
        TFLITE_DIRECTORY: ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        **PusherSpec.INPUTS,
        TFLITE_MODEL: ChannelParameter(type=TfliteModel, optional=True),
    }


class AtomicPusher(Pusher):
    """TFX's Pusher with atomic pushes. See :class:`custom_components.pusher.executor.Executor`."""

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        inputs: dict[str, types.BaseChannel],
        push_destination: pusher_pb2.PushDestination,
        tflite_directory: str | None = None,
    ) -> None:
        """Creates the node.

        Args:
            inputs: ``model``, ``model_blessing``, ``infra_blessing`` and, for devices, ``tflite_model``.
            push_destination: Folder that the server reads versions from.
            tflite_directory: Folder that devices read versions from. Required with ``tflite_model``.
        """
        spec = AtomicPusherSpec(
            **inputs,
            push_destination=push_destination,
            custom_config="null",
            tflite_directory=tflite_directory,
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        base_component.BaseComponent.__init__(self, spec)
