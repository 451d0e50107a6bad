"""AnomalyGate: stops a run if the data does not conform to the curated schema."""

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from common.source_code import source_digest
from custom_components.anomaly_gate.executor import Executor
from custom_components.shared.artifact_types import DataBlessing


class AnomalyGateSpec(ComponentSpec):
    """Inputs and outputs of :class:`AnomalyGate`."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {"code": ExecutionParameter(type=str)}
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {"blessing": ChannelParameter(type=DataBlessing)}


class AnomalyGate(base_component.BaseComponent):
    """Fails if ExampleValidator found an anomaly. ExampleValidator alone only reports it.

    Nodes that must not run on bad data have to be downstream of this node: use ``add_upstream_node``.
    """

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, anomalies: types.BaseChannel, schema: types.BaseChannel) -> None:
        """Creates the node.

        Args:
            anomalies: ``ExampleAnomalies`` from ExampleValidator.
            schema: The ``Schema`` that the examples were compared with.
        """
        blessing = types.Channel(type=DataBlessing)
        # Part of the cache key, so that changed code runs again.
        code = source_digest(__package__, "artifacts.nodes.anomalies", "artifacts.names")
        super().__init__(AnomalyGateSpec(anomalies=anomalies, schema=schema, blessing=blessing, code=code))
