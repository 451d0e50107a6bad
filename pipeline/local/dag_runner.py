"""Runs the nodes of a pipeline in this process and reports each one to a listener."""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Sequence
from concurrent import futures

from absl import logging
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import partial_run_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from artifacts.summary import Node
from common.error_reason import reason
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.local import interruption
from pipeline.local.metadata import LocalMetadata
from pipeline.local.node_launcher import LaunchedNode, NodeLauncher, is_resolver
from pipeline.nodes import BACKGROUND_NODES, Listener


class NodeFailedError(RuntimeError):
    """A node failed. ``__cause__`` is the exception that it raised.

    Attributes:
        node_id: Name of the node.
    """

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(reason)
        self.node_id = node_id


class DagRunner:
    """Launches the nodes of one pipeline in order, like TFX's ``LocalDagRunner``.

    The nodes in ``BACKGROUND_NODES`` run in the background.

    Attributes:
        nodes: The nodes that have finished so far.
        executions: Execution in ML Metadata of each node that ran or was cached.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        run_id: str,
        listener: Listener,
        may_cache: Callable[[str], bool] = lambda _node_id: True,
    ) -> None:
        """Prepares a run.

        Args:
            pipeline: The pipeline.
            run_id: Name of the run.
            listener: Called for each node.
            may_cache: Called before each node. Returns whether the node may be cached.
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
        self._launcher = NodeLauncher(self._pipeline)
        self._in_background: dict[str, futures.Future[LaunchedNode]] = {}

    def run(
        self,
        from_node: str | None = None,
        to_node: str | None = None,
        base_run_id: str | None = None,
        base_nodes: Collection[str] = (),
    ) -> None:
        """Runs the nodes.

        Args:
            from_node: Run this node and those downstream of it, on the last run's artifacts.
            to_node: Run only this node and those upstream of it.
            base_run_id: The run whose artifacts replace those of the nodes that are left out.
            base_nodes: The nodes that finished in that run. Others run too, unless they are upstream of ``from_node``.

        Raises:
            NodeFailedError: A node failed. Those downstream of it are skipped.
            ConfigError: The pipeline has no such node, or no earlier run made the artifacts that ``from_node`` needs.
            KeyboardInterrupt: The run was stopped. Nothing more is recorded about the nodes in the background.
        """
        self._select(from_node, to_node, base_run_id, base_nodes)
        nodes = [node.pipeline_node for node in self._pipeline.nodes]
        if any(node.execution_options.run.perform_snapshot for node in nodes):
            self._snapshot()  # before TFX would, since a background node may start earlier than TFX's first node
        try:
            self._launch_all(nodes)
        except KeyboardInterrupt:
            self._launcher.stop()  # before the run is recorded as interrupted
            raise
        except Exception:
            # If a node failed, none is still running. Otherwise the log and the lock must outlive those that are.
            futures.wait(self._in_background.values())
            raise

    def _launch_all(self, nodes: list[pipeline_pb2.PipelineNode]) -> None:
        """Launches the nodes. Errors as in :meth:`run`."""
        while nodes:
            if interruption.is_requested():  # a library may have swallowed the KeyboardInterrupt
                raise KeyboardInterrupt
            node = nodes.pop(self._next(nodes))
            if node.execution_options.HasField("skip"):
                self._finish(Node(node.node_info.id, "skipped"))
                continue
            try:
                self._launch(node)
            except NodeFailedError:
                self._skip([node, *nodes])
                raise
        self._wait_for(list(self._in_background))

    def metadata(self) -> LocalMetadata:
        """Returns a client of ML Metadata that is not open yet."""
        return self._launcher.metadata()

    def _select(
        self, from_node: str | None, to_node: str | None, base_run_id: str | None, base_nodes: Collection[str]
    ) -> None:
        """Marks the nodes that are to be skipped. Arguments and errors as in :meth:`run`."""
        known = [node.pipeline_node.node_info.id for node in self._pipeline.nodes]
        for option, node_id in (("--from", from_node), ("--to", to_node)):
            if node_id and node_id not in known:
                raise ConfigError(unknown_name(option, "node of this pipeline", node_id, known))
        if from_node or to_node:
            partial_run_utils.mark_pipeline(
                self._pipeline,
                from_nodes=self._first_nodes(from_node, base_nodes) if from_node else None,
                to_nodes=[to_node] if to_node else None,
                snapshot_settings=_snapshot_settings(base_run_id),
            )
        if not (from_node or base_run_id):
            # There is nothing to reuse. TFX would reuse the latest run, even one that is in progress: two first runs at
            # the same time would each become the parent of the other.
            for node in self._pipeline.nodes:
                if node.pipeline_node.execution_options.HasField("run"):
                    node.pipeline_node.execution_options.run.perform_snapshot = False
        if all(node.pipeline_node.execution_options.HasField("skip") for node in self._pipeline.nodes):
            raise ConfigError(f"--from {from_node} --to {to_node}: found no node between them; swap them or drop one")

    def _next(self, nodes: Sequence[pipeline_pb2.PipelineNode]) -> int:
        """Returns the index of the node to launch: a background node that is ready, or else the first node."""
        finished = {node.id for node in self.nodes}
        ready = (
            index
            for index, node in enumerate(nodes)
            if node.node_info.id in BACKGROUND_NODES and finished.issuperset(node.upstream_nodes)
        )
        return next(ready, 0)

    def _first_nodes(self, node_id: str, base_nodes: Collection[str]) -> list[str]:
        """Returns the nodes to start from, for ``--from`` a node.

        Its resolvers run too, since they look up what exists now. So do nodes that are not upstream of it and that the
        base run did not finish, since nodes downstream need them.
        """
        nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in self._pipeline.nodes}
        resolvers = [each for each in nodes[node_id].upstream_nodes if is_resolver(nodes[each])]
        needed, waiting = set(resolvers), [node_id]
        while waiting:
            upstream = set(nodes[waiting.pop()].upstream_nodes) - needed
            needed |= upstream
            waiting += upstream
        unfinished = [each for each in nodes if each not in {*needed, *base_nodes, node_id}] if base_nodes else []
        return [node_id, *resolvers, *unfinished]

    def _launch(self, node: pipeline_pb2.PipelineNode) -> None:
        """Launches a node once its upstream nodes have finished. Background nodes are not waited for.

        Raises:
            NodeFailedError: The node failed, or one upstream of it.
        """
        node_id = node.node_info.id
        self._wait_for(node.upstream_nodes)
        self._listener.node_started(node_id)
        if not self._may_cache(node_id):
            node.execution_options.caching_options.enable_cache = False
        if node_id in BACKGROUND_NODES:
            self._in_background[node_id] = self._launcher.launch_in_background(node)
        else:
            self._record(node_id, self._launcher.launch(node))

    def _skip(self, nodes: Sequence[pipeline_pb2.PipelineNode]) -> None:
        """Waits for the background nodes after a failure, and skips all nodes that have not run."""
        with contextlib.suppress(NodeFailedError):  # the first failure is the one to report
            self._wait_for(list(self._in_background))
        finished = {node.id for node in self.nodes}
        for node in nodes:
            if node.node_info.id not in finished:
                self._finish(Node(node.node_info.id, "skipped"))

    def _wait_for(self, node_ids: Collection[str]) -> None:
        """Waits for the given nodes, if they run in the background."""
        for node_id in [each for each in self._in_background if each in node_ids]:
            self._record(node_id, self._in_background.pop(node_id).result())

    def _record(self, node_id: str, launched: LaunchedNode) -> None:
        if launched.execution is not None:
            self.executions[node_id] = launched.execution
        self._finish(Node(node_id, launched.state, launched.seconds))
        if launched.error:
            raise NodeFailedError(node_id, reason(launched.error)) from launched.error

    def _snapshot(self) -> None:
        """Copies the base run's artifacts of the nodes that are left out into this run."""
        try:
            with self.metadata() as connection:
                partial_run_utils.snapshot(connection, self._pipeline)
        except LookupError as error:
            raise ConfigError(
                f"--from: {error} Expected an earlier run to start from; run once without --from"
            ) from error

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
