"""The nodes of one run, with the executions that made their outputs."""

from typing import NamedTuple

from lineage.graph.walker import GraphWalker
from lineage.records import Execution, LineageGraph, RunRecord
from lineage.store.reader import MetadataReader

RESOLVER = "tfx.dsl.components.common.resolver.Resolver"


class NodeRun(NamedTuple):
    """A node in a run.

    Attributes:
        execution: Its newest execution in the run.
        producer: The execution that made its outputs: an earlier one if the node was cached or reused by ``--from``. It
            has the inputs and settings. A reused execution has none.
    """

    execution: Execution
    producer: Execution

    @property
    def is_reused(self) -> bool:
        """Whether a partial run reused it from an earlier run."""
        return self.execution is not self.producer and not self.execution.properties and bool(self.producer.properties)


class RunNodes(NamedTuple):
    """The nodes of one run.

    Attributes:
        nodes: Nodes by id.
        graph: Their part of the graph.
    """

    nodes: dict[str, NodeRun]
    graph: LineageGraph


def read_run_nodes(reader: MetadataReader, run: RunRecord) -> RunNodes:
    """Reads the nodes of a run, and the earlier executions that made the outputs of cached nodes."""
    walker = GraphWalker(reader)
    graph = _with_producers(walker, walker.of_run(run))
    newest = {each.node: each for each in graph.executions.values() if each.run_id == run.run_id}
    return RunNodes({node: NodeRun(each, _producer(graph, each)) for node, each in newest.items()}, graph)


def read_node_run(reader: MetadataReader, execution_id: int) -> tuple[NodeRun, LineageGraph]:
    """Reads one execution, the one whose outputs it may have reused, and their part of the graph."""
    walker = GraphWalker(reader)
    graph = _with_producers(walker, walker.of_executions([execution_id]))
    execution = graph.executions[execution_id]
    return NodeRun(execution, _producer(graph, execution)), graph


def _with_producers(walker: GraphWalker, graph: LineageGraph) -> LineageGraph:
    cached = [each for each in graph.executions.values() if each.state == "cached"]
    reused = [artifact.id for each in cached for artifact in graph.artifacts_of(each.id, "output")]
    return graph.union(walker.of_executions(walker.producers(reused).executions))


def _producer(graph: LineageGraph, execution: Execution) -> Execution:
    outputs = graph.artifacts_of(execution.id, "output")
    producer = graph.producer(outputs[0].id) if execution.state == "cached" and outputs else None
    return producer or execution
