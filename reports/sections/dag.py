"""The pipeline's nodes as a picture: which waits for which, how each went, and how long it took."""

import dataclasses
from collections.abc import Mapping, Sequence

from reports.drawing.layout import Layout, place
from reports.source import MissingError, Source

WIDTH, HEIGHT = 158.0, 44.0


@dataclasses.dataclass(frozen=True)
class Step:
    """One node of the pipeline.

    Attributes:
        name: The node.
        state: ``ran``, ``cached``, ``skipped``, ``failed``; for a run that was killed also ``running``.
        seconds: Wall time.
    """

    name: str
    state: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Dag:
    """The nodes and their picture.

    Attributes:
        steps: In the order in which they were launched.
        layout: The picture.
    """

    steps: tuple[Step, ...]
    layout: Layout

    @property
    def longest(self) -> float:
        """Seconds of the longest step."""
        return max((each.seconds for each in self.steps), default=0.0)


def read_dag(source: Source) -> Dag:
    """The nodes of a run.

    Raises:
        MissingError: No node was launched.
    """
    if not source.nodes:
        raise MissingError("no node was launched")
    steps = [Step(each["id"], each["state"], each["seconds"]) for each in source.nodes]
    ways = reduced(_upstream(source))
    edges = [(before, node) for node, above in ways.items() for before in above]
    return Dag(tuple(steps), place({each.name: WIDTH for each in steps}, edges, HEIGHT))


def reduced(upstream: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Without the edges that a longer way stands for."""
    above: dict[str, set[str]] = {}

    def ancestors(node: str) -> set[str]:
        if node not in above:
            above[node] = set()  # a circle ends here
            direct = upstream.get(node, ())
            above[node] = {*direct, *(each for one in direct for each in ancestors(one))}
        return above[node]

    return {
        node: [each for each in direct if not any(each in ancestors(other) for other in direct if other != each)]
        for node, direct in upstream.items()
    }


def _upstream(source: Source) -> dict[str, list[str]]:
    """Direct predecessors by node: as the run recorded them, or else by the artifacts that were handed on."""
    recorded = {each["id"]: list(each["upstream"]) for each in source.nodes if "upstream" in each}
    if recorded:
        return recorded
    nodes = {each.id: each.node for each in source.lineage.executions.values()}
    makers = {
        each.artifact_id: nodes[each.execution_id]
        for each in source.lineage.events
        if each.direction in ("output", "found")
    }
    upstream: dict[str, list[str]] = {each["id"]: [] for each in source.nodes}
    for each in source.lineage.events:
        maker, user = makers.get(each.artifact_id), nodes[each.execution_id]
        if each.direction in ("input", "reference") and maker and user in upstream and maker not in upstream[user]:
            upstream[user].append(maker)
    return upstream
