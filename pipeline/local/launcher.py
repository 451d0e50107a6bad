"""Launches one node here, as TFX does, in this thread or beside it."""

import dataclasses
import threading
import time
from concurrent import futures

from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher
from tfx.proto.orchestration import pipeline_pb2

from lineage.graph.contexts import node_context
from pipeline.local.metadata_handle import StoreHandle
from pipeline.nodes import State

RESOLVER_TYPE = "tfx.dsl.components.common.resolver.Resolver"


@dataclasses.dataclass(frozen=True)
class Launched:
    """How the launch of a node went.

    Attributes:
        state: What became of it.
        seconds: Wall time.
        execution: In ML Metadata; ``None`` if the node was not to run, or failed.
        error: What it failed by.
    """

    state: State
    seconds: float
    execution: int | None = None
    error: Exception | None = None


class NodeLauncher:
    """Launches nodes of one pipeline."""

    def __init__(self, pipeline: pipeline_pb2.Pipeline) -> None:
        """Takes the compiled pipeline, whose deployment says what executes a node and where ML Metadata is."""
        self._pipeline = pipeline
        self._deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = self._deployment.metadata_connection_config
        self._connection: metadata_store_pb2.ConnectionConfig = getattr(
            connection, connection.WhichOneof("connection_config")
        )

    def store(self) -> StoreHandle:
        """ML Metadata, to be opened."""
        return StoreHandle(self._connection)

    def launch(self, node: pipeline_pb2.PipelineNode) -> Launched:
        """Launches a node and waits for it; a failure is told, not raised."""
        node_id, start = node.node_info.id, time.monotonic()
        logging.info("Node %s starts.", node_id)
        try:
            result = launcher.Launcher(
                pipeline_node=node,
                mlmd_connection=self.store(),
                pipeline_info=self._pipeline.pipeline_info,
                pipeline_runtime_spec=self._pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(self._deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, node_id),
            ).launch()
            execution = result.execution_id if result else None
            return Launched(self._state(node, execution), time.monotonic() - start, execution)
        except Exception as error:
            logging.exception("Node %s failed.", node_id)
            return Launched("failed", time.monotonic() - start, error=error)

    def launch_beside(self, node: pipeline_pb2.PipelineNode) -> futures.Future[Launched]:
        """Launches a node in a thread of its own, which does not outlive the process if this one is interrupted."""
        future: futures.Future[Launched] = futures.Future()

        def launched() -> None:
            try:
                future.set_result(self.launch(node))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=launched, name=node.node_info.id, daemon=True).start()
        return future

    def _state(self, node: pipeline_pb2.PipelineNode, execution_id: int | None) -> State:
        if execution_id is None:
            return "skipped"
        with self.store() as handle:
            [execution] = handle.store.get_executions_by_id([execution_id])
            if execution.last_known_state == metadata_store_pb2.Execution.CACHED:
                return "cached"
            if execution.last_known_state != metadata_store_pb2.Execution.COMPLETE:
                raise RuntimeError("its inputs could not be resolved; the log says which")
            if is_resolver(node) and _repeats(handle, execution):
                return "cached"
        return "ran"


def is_resolver(node: pipeline_pb2.PipelineNode) -> bool:
    """Whether a node looks artifacts up, and has no executor."""
    return bool(node.node_info.type.name == RESOLVER_TYPE)


def _repeats(handle: metadata.Metadata, execution: metadata_store_pb2.Execution) -> bool:
    """Whether a resolver found again what it found the time before. It has no executor, so it is never cached."""
    node = node_context(handle.store, execution.id)
    earlier = [each.id for each in handle.store.get_executions_by_context(node.id) if each.id < execution.id]
    return bool(earlier) and _output_ids(handle, execution.id) == _output_ids(handle, max(earlier))


def _output_ids(handle: metadata.Metadata, execution_id: int) -> set[int]:
    events = handle.store.get_events_by_execution_ids([execution_id])
    return {event.artifact_id for event in events if event.type == metadata_store_pb2.Event.INTERNAL_OUTPUT}
