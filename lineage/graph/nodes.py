"""What the nodes of one run did."""

from typing import NamedTuple

from ml_metadata import metadata_store

from lineage.graph import walk as graph
from lineage.records import Artifact, Execution, Lineage, Run

RESOLVER = "tfx.dsl.components.common.resolver.Resolver"


class NodeRun(NamedTuple):
    """A node in a run.

    Attributes:
        execution: Its newest execution in the run.
        made_by: The one that made its outputs: another one if this was cached, or taken over by ``--from``. It has the
            inputs and settings; an execution that was taken over has none.
    """

    execution: Execution
    made_by: Execution

    @property
    def taken_over(self) -> bool:
        """Whether a partial run took it from an earlier one."""
        return self.execution is not self.made_by and not self.execution.properties and bool(self.made_by.properties)


class RunNodes(NamedTuple):
    """The nodes of one run by name, and their part of the graph."""

    nodes: dict[str, NodeRun]
    line: Lineage


def nodes_of(store: metadata_store.MetadataStore, run: Run) -> RunNodes:
    """What the nodes of a run did, and the executions whose outputs they gave out again."""
    line = _with_makers(store, graph.of_run(store, run.context_id))
    newest = {each.node: each for each in line.executions.values() if each.run_id == run.run_id}
    return RunNodes({node: NodeRun(each, _maker(line, each)) for node, each in newest.items()}, line)


def node_run(store: metadata_store.MetadataStore, execution_id: int) -> tuple[NodeRun, Lineage]:
    """An execution, the one whose outputs it may have given out again, and their part of the graph."""
    line = _with_makers(store, graph.of_executions(store, [execution_id]))
    execution = line.executions[execution_id]
    return NodeRun(execution, _maker(line, execution)), line


def inputs(line: Lineage, execution: Execution) -> dict[str, list[Artifact]]:
    """Artifacts of an execution by input, those that it compares with or found included."""
    found: dict[str, list[Artifact]] = {}
    for link in line.links:
        if link.execution_id == execution.id and link.direction != "output":
            found.setdefault(link.key, []).append(line.artifacts[link.artifact_id])
    return found


def _with_makers(store: metadata_store.MetadataStore, line: Lineage) -> Lineage:
    cached = [each for each in line.executions.values() if each.state == "cached"]
    again = [artifact.id for each in cached for artifact in line.linked(each.id, "output")]
    return graph.together(line, graph.of_executions(store, graph.makers(store, again).executions))


def _maker(line: Lineage, execution: Execution) -> Execution:
    outputs = line.linked(execution.id, "output")
    made = line.producer(outputs[0].id) if execution.state == "cached" and outputs else None
    return made or execution
