"""The pipeline as a graph: dependencies, states and times of its nodes."""

import dataclasses
from collections.abc import Mapping, Sequence

from reports.drawing.layout import Layout, place
from reports.section import Section
from reports.source import MissingError, Source, Step

WIDTH, HEIGHT = 158.0, 44.0


@dataclasses.dataclass(frozen=True)
class PipelineGraph:
    """The nodes and their layout.

    Attributes:
        steps: The nodes, in the order in which they were launched.
        layout: The layout of the graph.
    """

    steps: Sequence[Step]
    layout: Layout

    @property
    def max_seconds(self) -> float:
        """Wall time of the slowest node."""
        return max((each.seconds for each in self.steps), default=0.0)


def read(source: Source) -> PipelineGraph:
    """Reads the nodes of a run.

    Raises:
        MissingError: No node was launched.
    """
    if not source.steps:
        raise MissingError("no node was launched")
    dependencies = transitive_reduction(_upstream(source))
    edges = [(before, node) for node, upstream in dependencies.items() for before in upstream]
    return PipelineGraph(source.steps, place({each.name: WIDTH for each in source.steps}, edges, HEIGHT))


def transitive_reduction(upstream: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Returns the transitive reduction of a graph: without edges that a longer path implies.

    >>> transitive_reduction({"a": [], "b": ["a"], "c": ["a", "b"]})
    {'a': [], 'b': ['a'], 'c': ['b']}
    """
    found: dict[str, set[str]] = {}

    def ancestors(node: str) -> set[str]:
        if node not in found:
            found[node] = set()  # ends a cycle
            direct = upstream.get(node, ())
            found[node] = {*direct, *(each for one in direct for each in ancestors(one))}
        return found[node]

    return {
        node: [each for each in direct if not any(each in ancestors(other) for other in direct if other != each)]
        for node, direct in upstream.items()
    }


def _upstream(source: Source) -> dict[str, list[str]]:
    """Direct predecessors by node, as recorded by the run. Without a record, those whose artifacts the node used."""
    if any(each.upstream for each in source.steps):
        return {each.name: list(each.upstream) for each in source.steps}
    nodes = {each.id: each.node for each in source.lineage.executions.values()}
    producers = {
        each.artifact_id: nodes[each.execution_id]
        for each in source.lineage.events
        if each.direction in ("output", "found")
    }
    upstream: dict[str, list[str]] = {each.name: [] for each in source.steps}
    for each in source.lineage.events:
        producer, user = producers.get(each.artifact_id), nodes[each.execution_id]
        if each.direction not in ("input", "reference") or producer is None or user not in upstream:
            continue
        if producer not in upstream[user]:
            upstream[user].append(producer)
    return upstream


SECTION = Section("pipeline", "Pipeline", read, absent="No graph")
