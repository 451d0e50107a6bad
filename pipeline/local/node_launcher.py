"""Launches one node in this process, in the calling thread or in the background."""

import dataclasses
import threading
import time
from concurrent import futures
from pathlib import Path

from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import data_types, launcher, outputs_utils
from tfx.proto.orchestration import execution_result_pb2, pipeline_pb2

from artifacts.summary import State
from lineage.store.reader import MetadataReader
from pipeline.local import interruption
from pipeline.local.metadata import LocalMetadata, wait_for_other_threads
from pipeline.local.recovery import remove_outputs
from pipeline.nodes import PUSHER

RESOLVER_TYPE = "tfx.dsl.components.common.resolver.Resolver"


@dataclasses.dataclass(frozen=True)
class LaunchedNode:
    """A node whose launch has finished.

    Attributes:
        state: State of the node.
        seconds: Wall time.
        execution: Id in ML Metadata, or ``None`` if the node was skipped or failed.
        error: Exception that the node raised.
    """

    state: State
    seconds: float
    execution: int | None = None
    error: Exception | None = None


class _Launcher(launcher.Launcher):
    """TFX's launcher, which starts each executor with empty output folders.

    ML Metadata uses ids again once its database was deleted or replaced by an older copy. The folders of an execution
    then still have the files of another one, which its executor would continue, overwrite in part, or add to.
    """

    def _prepare_execution(self) -> launcher._ExecutionPreparationResult:
        prepared = super()._prepare_execution()
        if prepared.is_execution_needed and self._pipeline_node.node_info.id == PUSHER:
            # TFX adds the context by which it finds cached executions when it publishes one. If the process is killed
            # before, recovery publishes the execution, and could not make this context.
            found = [
                metadata_store_pb2.Association(execution_id=prepared.execution_info.execution_id, context_id=each.id)
                for each in prepared.contexts
            ]
            with self._mlmd_connection as connection:
                connection.store.put_attributions_and_associations([], found)
        return prepared

    def _run_executor(self, execution_info: data_types.ExecutionInfo) -> execution_result_pb2.ExecutorOutput:
        node_dir = outputs_utils.get_node_dir(self._pipeline_runtime_spec, self._pipeline_node.node_info.id)
        remove_outputs(Path(node_dir), execution_info.execution_id)
        Path(execution_info.tmp_dir).mkdir(parents=True)
        return super()._run_executor(execution_info)


class NodeLauncher:
    """Launches the nodes of one pipeline."""

    def __init__(self, pipeline: pipeline_pb2.Pipeline) -> None:
        """Reads the executors and the ML Metadata connection from the compiled pipeline."""
        self._pipeline = pipeline
        self._deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = self._deployment.metadata_connection_config
        self._connection: metadata_store_pb2.ConnectionConfig = getattr(
            connection, connection.WhichOneof("connection_config")
        )
        self._stopped = threading.Event()

    def metadata(self) -> LocalMetadata:
        """Returns a client of ML Metadata that is not open yet."""
        return LocalMetadata(self._connection)

    def launch(self, node: pipeline_pb2.PipelineNode) -> LaunchedNode:
        """Launches a node and waits for it. A failure is returned, not raised."""
        return self._launch(node, self.metadata())

    def launch_in_background(self, node: pipeline_pb2.PipelineNode) -> futures.Future[LaunchedNode]:
        """Launches a node in a daemon thread, which ends with the process if the run is interrupted."""
        future: futures.Future[LaunchedNode] = futures.Future()

        def launch() -> None:
            try:
                future.set_result(self._launch(node, LocalMetadata(self._connection, self._stopped)))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=launch, name=node.node_info.id, daemon=True).start()
        return future

    def stop(self) -> None:
        """Keeps the nodes in the background from recording anything more in ML Metadata."""
        self._stopped.set()
        wait_for_other_threads()

    def _launch(self, node: pipeline_pb2.PipelineNode, connection: LocalMetadata) -> LaunchedNode:
        node_id, start = node.node_info.id, time.monotonic()
        logging.info("Node %s starts.", node_id)
        try:
            result = _Launcher(
                pipeline_node=node,
                mlmd_connection=connection,
                pipeline_info=self._pipeline.pipeline_info,
                pipeline_runtime_spec=self._pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(self._deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, node_id),
            ).launch()
            execution = result.execution_id if result else None
            return LaunchedNode(self._state(node, execution), time.monotonic() - start, execution)
        except Exception as error:
            logging.exception("Node %s failed.", node_id)
            if interruption.is_requested():
                raise KeyboardInterrupt from error
            return LaunchedNode("failed", time.monotonic() - start, error=error)

    def _state(self, node: pipeline_pb2.PipelineNode, execution_id: int | None) -> State:
        if execution_id is None:
            return "skipped"
        with self.metadata() as connection:
            [execution] = connection.store.get_executions_by_id([execution_id])
            if execution.last_known_state == metadata_store_pb2.Execution.CACHED:
                return "cached"
            if execution.last_known_state != metadata_store_pb2.Execution.COMPLETE:
                raise RuntimeError("its inputs could not be resolved; see the log")
            if is_resolver(node) and _repeats_last(MetadataReader(connection.store), execution.id):
                return "cached"
        return "ran"


def is_resolver(node: pipeline_pb2.PipelineNode) -> bool:
    """Returns whether a node only looks up artifacts and has no executor."""
    return bool(node.node_info.type.name == RESOLVER_TYPE)


def _repeats_last(reader: MetadataReader, execution_id: int) -> bool:
    """Returns whether a resolver found the same as last time. It has no executor, so TFX never marks it as cached."""
    last = reader.previous_execution(execution_id)
    return last is not None and _found(reader, execution_id) == _found(reader, last)


def _found(reader: MetadataReader, execution_id: int) -> set[int]:
    events = reader.events_of_executions([execution_id])
    return {event.artifact_id for event in events if event.direction == "found"}
