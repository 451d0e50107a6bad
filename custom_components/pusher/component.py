"""AtomicPusher: TFX's Pusher, with a push that is whole or not there, to a server and to devices."""

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
    """TFX's, and what goes to devices."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        **PusherSpec.PARAMETERS,
        TFLITE_DIRECTORY: ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        **PusherSpec.INPUTS,
        TFLITE_MODEL: ChannelParameter(type=TfliteModel, optional=True),
    }


class AtomicPusher(Pusher):
    """TFX's Pusher; see :class:`custom_components.pusher.executor.Executor` for what differs."""

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        inputs: dict[str, types.BaseChannel],
        push_destination: pusher_pb2.PushDestination,
        tflite_directory: str | None = None,
    ) -> None:
        """Makes the node.

        Args:
            inputs: ``model``, ``model_blessing``, ``infra_blessing`` and, for devices, ``tflite_model``.
            push_destination: Where the server looks for versions.
            tflite_directory: Where devices look for them; needed with ``tflite_model``.
        """
        spec = AtomicPusherSpec(
            **inputs,
            push_destination=push_destination,
            custom_config="null",
            tflite_directory=tflite_directory,
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        base_component.BaseComponent.__init__(self, spec)
