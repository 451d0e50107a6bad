"""``why``: why a node ran or was cached."""

import dataclasses
from collections.abc import Mapping, Sequence

from lineage.errors import LineageError
from lineage.graph.run_nodes import RESOLVER, NodeRun, RunNodes, read_node_run, read_run_nodes
from lineage.graph.walker import GraphWalker
from lineage.queries.changes import changed_settings, changed_values, merged
from lineage.queries.results import Change, Reason
from lineage.records import Artifact, Execution, LineageGraph, RunRecord
from lineage.store.reader import MetadataReader

NO_CACHE = "--no-cache"
KIND_NAMES = {
    "data": "the data",
    "schema": "the schema",
    "features": "features",
    "settings": "settings",
    "code": "code",
    "input": "inputs",
}


def why(reader: MetadataReader, run: RunRecord, node: str) -> Reason:
    """Explains why a node ran or was cached in a run.

    Raises:
        LineageError: The node is not in the run.
    """
    nodes = read_run_nodes(reader, run)
    if node not in nodes.nodes:
        known = ", ".join(nodes.nodes) or "none"
        raise LineageError(f"'{node}': not in run {run.run_id} (skipped or unknown); its nodes are {known}")
    return _Explainer(reader, run, nodes).reason(node)


class _Explainer:
    """Explains the nodes of one run, each once."""

    def __init__(self, reader: MetadataReader, run: RunRecord, nodes: RunNodes) -> None:
        self._reader = reader
        self._walker = GraphWalker(reader)
        self._run = run
        self._nodes = nodes
        self._reasons: dict[str, Reason] = {}

    def reason(self, node: str) -> Reason:
        if node not in self._reasons:
            self._reasons[node] = self._explain(self._nodes.nodes[node])
        return self._reasons[node]

    def _explain(self, node_run: NodeRun) -> Reason:
        execution, producer = node_run
        reason = Reason(execution.node, self._run.run_id, execution.state, "")
        if execution.type == RESOLVER:
            return dataclasses.replace(reason, because=f"resolvers run every time; {self._selected(execution)}")
        if execution.state == "cached":
            how = "reused by --from" if node_run.is_reused else "inputs, settings and code are unchanged"
            return dataclasses.replace(
                reason, because=f"{how}; the outputs are those of run {producer.run_id}", same_as=producer.run_id
            )
        previous = self._reader.previous_execution(execution.id, finished=True)
        if previous is None:
            return dataclasses.replace(reason, because="no earlier execution finished")
        (_, before), part = read_node_run(self._reader, previous)
        graph = self._nodes.graph.union(part)
        changes = [*self._changed_inputs(graph, before, execution), *changed_settings(before, execution)]
        return dataclasses.replace(
            reason,
            because=self._because(changes),
            compared_with=part.executions[previous].run_id,
            changes=merged(changes),
            back_to=self._back_to(graph, before, execution),
        )

    def _because(self, changes: Sequence[Change]) -> str:
        if changes:
            return ", ".join(dict.fromkeys(f"{KIND_NAMES[change.kind]} changed" for change in changes))
        if self._run.origin and NO_CACHE in self._run.origin.command.split():
            return f"{NO_CACHE} was given, and nothing else changed"
        return "no recorded change; the earlier outputs were gone, or the cache was off"

    def _changed_inputs(self, graph: LineageGraph, before: Execution, after: Execution) -> list[Change]:
        inputs = graph.inputs_of(before.id), graph.inputs_of(after.id)
        producers = self._walker.producers(artifact.id for each in inputs for artifact in _flatten(each))
        names = [
            {key: ", ".join(producers.name(each.id) for each in artifacts) for key, artifacts in each.items()}
            for each in inputs
        ]
        return [Change("input", key, old, new, (after.node,)) for key, old, new in changed_values(*names)]

    def _back_to(self, graph: LineageGraph, before: Execution, after: Execution) -> list[Reason]:
        """Returns the reasons of this run's nodes that made or selected the new inputs, or of nodes upstream.

        A node of which only the inputs changed is replaced with the nodes that caused these changes.
        """
        old = {artifact.id for artifact in _flatten(graph.inputs_of(before.id))}
        new = {artifact.id for artifact in _flatten(graph.inputs_of(after.id))} - old
        producers = {
            event.execution_id
            for event in self._nodes.graph.events
            if event.artifact_id in new and event.direction in ("output", "found")
        }
        found: dict[str, Reason] = {}
        for name, node_run in self._nodes.nodes.items():
            if node_run.execution.id not in producers:
                continue
            reason = self.reason(name)
            own = [change for change in reason.changes if change.kind != "input"]
            if own or not reason.back_to:
                found[name] = dataclasses.replace(reason, back_to=())
            found |= {further.node: further for further in reason.back_to}
        return list(found.values())

    def _selected(self, resolver: Execution) -> str:
        selected = self._nodes.graph.artifacts_of(resolver.id, "found")
        if not selected:
            return "this one found nothing"
        producers = self._walker.producers(each.id for each in selected)
        return f"this one found {', '.join(producers.name(each.id) for each in selected)}"


def _flatten(inputs: Mapping[str, Sequence[Artifact]]) -> list[Artifact]:
    return [artifact for artifacts in inputs.values() for artifact in artifacts]
