"""VertexEndpoint: deploys the pushed model to an endpoint of Vertex AI, with a part of its traffic."""

import dataclasses
import json
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from cloud.serving import ServingSettings
from custom_components.vertex_endpoint.executor import Executor


class VertexEndpointSpec(ComponentSpec):
    """Inputs, outputs and parameters of :class:`VertexEndpoint`."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "project": ExecutionParameter(type=str),
        "region": ExecutionParameter(type=str),
        "serving": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "deployed_model": ChannelParameter(type=standard_artifacts.PushedModel),
    }


class VertexEndpoint(base_component.BaseComponent):
    """Deploys the pushed model. See :func:`cloud.endpoint.deploy`."""

    SPEC_CLASS = VertexEndpointSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, pushed_model: types.BaseChannel, project: str, region: str, serving: ServingSettings) -> None:
        """Creates the node.

        Args:
            pushed_model: Output of the Pusher.
            project: Google Cloud project.
            region: Region, such as ``europe-west4``.
            serving: How the model is served.
        """
        spec = VertexEndpointSpec(
            pushed_model=pushed_model,
            project=project,
            region=region,
            serving=json.dumps(dataclasses.asdict(serving), sort_keys=True),
            deployed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec)
