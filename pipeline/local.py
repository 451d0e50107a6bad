"""Runs a pipeline here, node by node, and tells a listener how each one went."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher, partial_run_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from lineage.executions import node_context
from models.reason import reason
from pipeline.config_errors import ConfigError, unknown_name
from pipeline.handle import StoreHandle
from pipeline.nodes import Listener, Node, State

RESOLVER_TYPE = "tfx.dsl.components.common.resolver.Resolver"


class NodeFailedError(RuntimeError):
    """A node failed; ``__cause__`` is what it raised.

    Attributes:
        node_id: The node.
    """

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(reason)
        self.node_id = node_id


class LocalRunner:
    """Launches the nodes of one pipeline in order, as TFX's LocalDagRunner does.

    Attributes:
        nodes: How each node went so far.
        executions: Execution in ML Metadata of each node that ran or was cached.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        run_id: str,
        listener: Listener,
        may_cache: Callable[[str, Mapping[str, int]], bool] = lambda _node_id, _executions: True,
    ) -> None:
        """Prepares a run.

        Args:
            pipeline: The pipeline.
            run_id: Name of the run.
            listener: Told of each node.
            may_cache: Asked before each node, with the executions so far, whether it may be answered from the cache.
        """
        self._may_cache = may_cache
        self.nodes: list[Node] = []
        self.executions: dict[str, int] = {}
        self._listener = listener
        self._pipeline: pipeline_pb2.Pipeline = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            self._pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        self._upstream = {
            node.pipeline_node.node_info.id: sorted(node.pipeline_node.upstream_nodes) for node in self._pipeline.nodes
        }
        self._deployment = runner_utils.extract_local_deployment_config(self._pipeline)
        connection = self._deployment.metadata_connection_config
        self._connection = getattr(connection, connection.WhichOneof("connection_config"))

    def run(
        self,
        from_node: str | None = None,
        to_node: str | None = None,
        base_run_id: str | None = None,
        base_nodes: Collection[str] = (),
    ) -> None:
        """Runs the nodes.

        Args:
            from_node: Run this one and those behind it, on the last run's artifacts.
            to_node: Run no node that this one does not need.
            base_run_id: The run whose artifacts stand in for the nodes that are left out.
            base_nodes: The nodes that finished in it; others run too, unless ``from_node`` needs them.

        Raises:
            NodeFailedError: A node failed; those behind it are skipped.
            ConfigError: A node is not in this pipeline, or no earlier run made what ``from_node`` needs.
        """
        known = [node.pipeline_node.node_info.id for node in self._pipeline.nodes]
        for option, node_id in (("--from", from_node), ("--to", to_node)):
            if node_id and node_id not in known:
                raise ConfigError(unknown_name(option, "node of these settings", node_id, known))
        if from_node or to_node:
            partial_run_utils.mark_pipeline(
                self._pipeline,
                from_nodes=self._first_nodes(from_node, base_nodes) if from_node else None,
                to_nodes=[to_node] if to_node else None,
                snapshot_settings=_snapshot_settings(base_run_id),
            )
        nodes = [node.pipeline_node for node in self._pipeline.nodes]
        if all(node.execution_options.HasField("skip") for node in nodes):
            raise ConfigError(
                f"--from {from_node} --to {to_node}: no node lies between them; swap them or leave one out"
            )
        for index, node in enumerate(nodes):
            if node.execution_options.HasField("skip"):
                self._finish(Node(node.node_info.id, "skipped"))
                continue
            try:
                self._launch(node)
            except NodeFailedError:
                for rest in nodes[index + 1 :]:
                    self._finish(Node(rest.node_info.id, "skipped"))
                raise

    @contextlib.contextmanager
    def store(self) -> Iterator[metadata.Metadata]:
        """Opens ML Metadata."""
        with StoreHandle(self._connection) as handle:
            yield handle

    def _first_nodes(self, node_id: str, base_nodes: Collection[str]) -> list[str]:
        """Nodes to run from, for a run from one of them.

        With it run the resolvers before it, since they look up what is there now, and the nodes beside it that never
        ran, since those behind both need them.
        """
        nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in self._pipeline.nodes}
        resolvers = [each for each in nodes[node_id].upstream_nodes if _is_resolver(nodes[each])]
        needed, waiting = set(resolvers), [node_id]
        while waiting:
            upstream = set(nodes[waiting.pop()].upstream_nodes) - needed
            needed |= upstream
            waiting += upstream
        beside = [each for each in nodes if each not in {*needed, *base_nodes, node_id}] if base_nodes else []
        return [node_id, *resolvers, *beside]

    def _launch(self, node: pipeline_pb2.PipelineNode) -> None:
        node_id = node.node_info.id
        self._listener.node_started(node_id)
        logging.info("Node %s starts.", node_id)
        start = time.monotonic()
        if not self._may_cache(node_id, self.executions):
            node.execution_options.caching_options.enable_cache = False
        if node.execution_options.run.perform_snapshot:
            self._snapshot()
        try:
            result = launcher.Launcher(
                pipeline_node=node,
                mlmd_connection=StoreHandle(self._connection),
                pipeline_info=self._pipeline.pipeline_info,
                pipeline_runtime_spec=self._pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(self._deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, node_id),
            ).launch()
            execution_id = result.execution_id if result else None
            state = self._state(node, execution_id)
            if execution_id is not None:
                self.executions[node_id] = execution_id
        except Exception as error:
            logging.exception("Node %s failed.", node_id)
            self._finish(Node(node_id, "failed", time.monotonic() - start))
            raise NodeFailedError(node_id, reason(error)) from error
        self._finish(Node(node_id, state, time.monotonic() - start))

    def _snapshot(self) -> None:
        """Takes over the last run's artifacts of the nodes that are left out."""
        try:
            with self.store() as handle:
                partial_run_utils.snapshot(handle, self._pipeline)
        except LookupError as error:
            raise ConfigError(f"--from: {error} Expected an earlier run to go on from; run once without it") from error

    def _state(self, node: pipeline_pb2.PipelineNode, execution_id: int | None) -> State:
        if execution_id is None:
            return "skipped"
        with self.store() as handle:
            [execution] = handle.store.get_executions_by_id([execution_id])
            if execution.last_known_state == metadata_store_pb2.Execution.CACHED:
                return "cached"
            if execution.last_known_state != metadata_store_pb2.Execution.COMPLETE:
                raise RuntimeError("its inputs could not be resolved; the log says which")
            if _is_resolver(node) and _repeats(handle, execution):
                return "cached"
        return "ran"

    def _finish(self, node: Node) -> None:
        node = dataclasses.replace(node, upstream=self._upstream[node.id])
        logging.info("Node %s %s after %.2f s.", node.id, node.state, node.seconds)
        self.nodes.append(node)
        self._listener.node_finished(node)


def _snapshot_settings(base_run_id: str | None) -> pipeline_pb2.SnapshotSettings:
    settings = pipeline_pb2.SnapshotSettings()
    if base_run_id:
        settings.base_pipeline_run_strategy.base_run_id = base_run_id
    else:
        settings.latest_pipeline_run_strategy.SetInParent()
    return settings


def _is_resolver(node: pipeline_pb2.PipelineNode) -> bool:
    return bool(node.node_info.type.name == RESOLVER_TYPE)


def _repeats(handle: metadata.Metadata, execution: metadata_store_pb2.Execution) -> bool:
    """Whether a resolver found again what it found the time before. It has no executor, so it is never cached."""
    node = node_context(handle.store, execution.id)
    earlier = [each.id for each in handle.store.get_executions_by_context(node.id) if each.id < execution.id]
    return bool(earlier) and _output_ids(handle, execution.id) == _output_ids(handle, max(earlier))


def _output_ids(handle: metadata.Metadata, execution_id: int) -> set[int]:
    events = handle.store.get_events_by_execution_ids([execution_id])
    return {event.artifact_id for event in events if event.type == metadata_store_pb2.Event.INTERNAL_OUTPUT}
