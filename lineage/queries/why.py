"""``why``: why a node ran, or was answered from the cache."""

import dataclasses
from collections.abc import Mapping, Sequence

from ml_metadata import metadata_store

from lineage.errors import LineageError
from lineage.graph import walk as graph
from lineage.graph.by_node import newest
from lineage.graph.contexts import FINISHED, NODE
from lineage.graph.nodes import RESOLVER, NodeRun, RunNodes, inputs, node_run, nodes_of
from lineage.queries.changes import Change, changed_settings, changed_values, merged
from lineage.records import Artifact, Execution, Lineage, Run

FIRST, GROWTH = 16, 8
NO_CACHE = "--no-cache"
NAMES = {
    "data": "the data",
    "schema": "the schema",
    "features": "features",
    "settings": "settings",
    "code": "code",
    "input": "inputs",
}


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a node did what it did in a run.

    Attributes:
        node: The node.
        run_id: The run.
        state: What it did.
        because: In one line.
        same_as: The run whose answer was given again; ``None`` if it ran.
        compared_with: The run of the earlier execution that it was held against; ``None`` if there is none.
        changes: What differs from that one.
        back_to: The nodes upstream that the changed inputs go back to, each with its own reason.
    """

    node: str
    run_id: str
    state: str
    because: str
    same_as: str | None = None
    compared_with: str | None = None
    changes: Sequence[Change] = ()
    back_to: Sequence["Reason"] = ()


def why(store: metadata_store.MetadataStore, run: Run, node: str) -> Reason:
    """Says why a node ran or was cached in a run.

    Raises:
        LineageError: The node is not in the run.
    """
    nodes = nodes_of(store, run)
    if node not in nodes.nodes:
        known = ", ".join(nodes.nodes) or "none"
        raise LineageError(f"'{node}': not in run {run.run_id} (skipped, or no such node); its nodes are {known}")
    return _Explainer(store, run, nodes).reason(node)


class _Explainer:
    """Goes up through the nodes of one run, each once."""

    def __init__(self, store: metadata_store.MetadataStore, run: Run, nodes: RunNodes) -> None:
        self._store = store
        self._run = run
        self._nodes = nodes
        self._known: dict[str, Reason] = {}

    def reason(self, node: str) -> Reason:
        if node not in self._known:
            self._known[node] = self._explain(self._nodes.nodes[node])
        return self._known[node]

    def _explain(self, found: NodeRun) -> Reason:
        execution, made_by = found
        reason = Reason(execution.node, self._run.run_id, execution.state, "")
        if execution.type == RESOLVER:
            return dataclasses.replace(reason, because=f"it looks at each run anew; {self._chosen(execution)}")
        if execution.state == "cached":
            how = "taken over by --from" if found.taken_over else "inputs, settings and code are the same"
            return dataclasses.replace(
                reason, because=f"{how}: its outputs are those of run {made_by.run_id}", same_as=made_by.run_id
            )
        earlier = _earlier(self._store, execution)
        if earlier is None:
            return dataclasses.replace(reason, because="no earlier execution of it finished")
        (_, before), part = node_run(self._store, earlier)
        line = graph.together(self._nodes.line, part)
        changes = [*self._changed_inputs(line, before, execution), *changed_settings(before, execution)]
        return dataclasses.replace(
            reason,
            because=self._because(changes),
            compared_with=part.executions[earlier].run_id,
            changes=merged(changes),
            back_to=self._back_to(line, before, execution),
        )

    def _because(self, changes: Sequence[Change]) -> str:
        if changes:
            return ", ".join(dict.fromkeys(f"{NAMES[change.kind]} changed" for change in changes))
        if self._run.origin and NO_CACHE in self._run.origin.command.split():
            return f"{NO_CACHE} was given; nothing else changed"
        return "nothing that is recorded changed: what it had made was gone, or the cache was off"

    def _changed_inputs(self, line: Lineage, before: Execution, after: Execution) -> list[Change]:
        old, new = inputs(line, before), inputs(line, after)
        named = graph.makers(self._store, (each.id for found in (old, new) for each in _together(found)))
        names = [
            {key: ", ".join(named.name(each.id) for each in artifacts) for key, artifacts in found.items()}
            for found in (old, new)
        ]
        return [Change("input", key, was, now, (after.node,)) for key, was, now in changed_values(*names)]

    def _back_to(self, line: Lineage, before: Execution, after: Execution) -> list[Reason]:
        """Reasons of this run's nodes that gave out or chose what is new, or of those that these followed."""
        old = {artifact.id for artifact in _together(inputs(line, before))}
        new = {artifact.id for artifact in _together(inputs(line, after))} - old
        makers = {
            link.execution_id
            for link in self._nodes.line.links
            if link.artifact_id in new and link.direction in ("output", "found")
        }
        found: dict[str, Reason] = {}
        for name, each in self._nodes.nodes.items():
            if each.execution.id not in makers:
                continue
            reason = self.reason(name)
            own = [change for change in reason.changes if change.kind != "input"]
            if own or not reason.back_to:
                found[name] = dataclasses.replace(reason, back_to=())
            found |= {further.node: further for further in reason.back_to}
        return list(found.values())

    def _chosen(self, resolver: Execution) -> str:
        chosen = self._nodes.line.linked(resolver.id, "found")
        named = graph.makers(self._store, (each.id for each in chosen))
        return f"it found {', '.join(map(named.name, (each.id for each in chosen)))}" if chosen else "it found none"


def _together(found: Mapping[str, Sequence[Artifact]]) -> list[Artifact]:
    return [artifact for artifacts in found.values() for artifact in artifacts]


def _earlier(store: metadata_store.MetadataStore, execution: Execution) -> int | None:
    """The newest execution of the same node before this one that finished; newer ones are asked for first."""
    context = store.get_context_by_type_and_name(NODE, f"{execution.pipeline}.{execution.node}")
    limit = FIRST
    while True:
        found = store.get_executions_by_context(context.id, newest(limit))
        finished = [each.id for each in found if each.id < execution.id and each.last_known_state in FINISHED]
        if finished or len(found) < limit:
            return max(finished, default=None)
        limit *= GROWTH
