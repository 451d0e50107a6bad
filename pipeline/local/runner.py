"""Runs a pipeline here, node by node, and tells a listener how each one went."""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent import futures

from absl import logging
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import partial_run_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from common.error_reason import reason
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.local.launcher import Launched, NodeLauncher, is_resolver
from pipeline.nodes import BESIDE, Listener, Node


class NodeFailedError(RuntimeError):
    """A node failed; ``__cause__`` is what it raised.

    Attributes:
        node_id: The node.
    """

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(reason)
        self.node_id = node_id


class LocalRunner:
    """Launches the nodes of one pipeline in order, as TFX's LocalDagRunner does, but for those of ``BESIDE``.

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
        self._launcher = NodeLauncher(self._pipeline)
        self._beside: dict[str, futures.Future[Launched]] = {}

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
        if any(node.execution_options.run.perform_snapshot for node in nodes):
            self._snapshot()  # not before the node that TFX chose: one that goes on beside may come earlier
        while nodes:
            node = nodes.pop(self._next(nodes))
            if node.execution_options.HasField("skip"):
                self._finish(Node(node.node_info.id, "skipped"))
                continue
            try:
                self._launch(node)
            except NodeFailedError:
                self._skip([node, *nodes])
                raise
        self._settle_beside(list(self._beside))

    def _next(self, nodes: Sequence[pipeline_pb2.PipelineNode]) -> int:
        """Place of the node to launch: of one that can go on beside the others, or of the first, which needs none."""
        finished = {node.id for node in self.nodes}
        ready = (
            place
            for place, node in enumerate(nodes)
            if node.node_info.id in BESIDE and finished.issuperset(node.upstream_nodes)
        )
        return next(ready, 0)

    def store(self) -> metadata.Metadata:
        """ML Metadata, to be opened."""
        return self._launcher.store()

    def _first_nodes(self, node_id: str, base_nodes: Collection[str]) -> list[str]:
        """Nodes to run from, for a run from one of them.

        With it run the resolvers before it, since they look up what is there now, and the nodes beside it that never
        ran, since those behind both need them.
        """
        nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in self._pipeline.nodes}
        resolvers = [each for each in nodes[node_id].upstream_nodes if is_resolver(nodes[each])]
        needed, waiting = set(resolvers), [node_id]
        while waiting:
            upstream = set(nodes[waiting.pop()].upstream_nodes) - needed
            needed |= upstream
            waiting += upstream
        beside = [each for each in nodes if each not in {*needed, *base_nodes, node_id}] if base_nodes else []
        return [node_id, *resolvers, *beside]

    def _launch(self, node: pipeline_pb2.PipelineNode) -> None:
        """Launches a node whose upstream ones have finished; one that mostly waits goes on beside those behind it.

        Raises:
            NodeFailedError: It failed, or one that it needs did.
        """
        node_id = node.node_info.id
        self._settle_beside(node.upstream_nodes)
        self._listener.node_started(node_id)
        if not self._may_cache(node_id, self.executions):
            node.execution_options.caching_options.enable_cache = False
        if node_id in BESIDE:
            self._beside[node_id] = self._launcher.launch_beside(node)
        else:
            self._settle(node_id, self._launcher.launch(node))

    def _skip(self, nodes: Sequence[pipeline_pb2.PipelineNode]) -> None:
        """After a failure: waits for what is still under way, and leaves out the rest."""
        with contextlib.suppress(NodeFailedError):  # the first failure is the one that is told
            self._settle_beside(list(self._beside))
        finished = {node.id for node in self.nodes}
        for node in nodes:
            if node.node_info.id not in finished:
                self._finish(Node(node.node_info.id, "skipped"))

    def _settle_beside(self, node_ids: Collection[str]) -> None:
        """Waits for those of the nodes that run beside this thread."""
        for node_id in [each for each in self._beside if each in node_ids]:
            self._settle(node_id, self._beside.pop(node_id).result())

    def _settle(self, node_id: str, launched: Launched) -> None:
        if launched.execution is not None:
            self.executions[node_id] = launched.execution
        self._finish(Node(node_id, launched.state, launched.seconds))
        if launched.error:
            raise NodeFailedError(node_id, reason(launched.error)) from launched.error

    def _snapshot(self) -> None:
        """Takes over the last run's artifacts of the nodes that are left out."""
        try:
            with self.store() as handle:
                partial_run_utils.snapshot(handle, self._pipeline)
        except LookupError as error:
            raise ConfigError(f"--from: {error} Expected an earlier run to go on from; run once without it") from error

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
