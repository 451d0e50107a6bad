"""``diff``: what changed between two runs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ml_metadata import metadata_store

from lineage import contents
from lineage.graph.nodes import RunNodes, nodes_of
from lineage.queries.changes import Change, Kind, changed_settings, changed_values, flat, merged
from lineage.records import Origin, Run

STATISTICS = "ExampleStatistics"
# Of a run's origin: how its code came to be, and what else.
CODE = ("commit", "dirty", "lock", "python", "versions")
FEATURES = ("task", "label", "features")


@dataclasses.dataclass(frozen=True)
class NodeChange:
    """A node in two runs.

    Attributes:
        node: The node.
        before: Its state in the first run; ``None`` if it is not there, and so for the next one.
        after: Its state in the second.
        same_outputs: Whether both gave the same artifacts; ``None`` if one gave none.
    """

    node: str
    before: str | None
    after: str | None
    same_outputs: bool | None


@dataclasses.dataclass(frozen=True)
class MetricChange:
    """A metric of two runs' candidates on the eval split, over all rows; ``None`` where there is none."""

    metric: str
    before: float | None
    after: float | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """What changed between two runs.

    Attributes:
        before: The first run.
        after: The second.
        changes: Data, schema, features, settings and code.
        metrics: All metrics of both.
        nodes: All nodes of both.
    """

    before: Run
    after: Run
    changes: Sequence[Change]
    metrics: Sequence[MetricChange]
    nodes: Sequence[NodeChange]

    def of(self, kind: Kind) -> list[Change]:
        """The changes of one kind."""
        return [change for change in self.changes if change.kind == kind]


def difference(store: metadata_store.MetadataStore, before: Run, after: Run) -> Difference:
    """Compares what two runs were started from, were given, and found."""
    old, new = nodes_of(store, before), nodes_of(store, after)
    both = [node for node in new.nodes if node in old.nodes]
    settings = [
        change for node in both for change in changed_settings(old.nodes[node].made_by, new.nodes[node].made_by)
    ]
    if before.origin and after.origin:  # then in the words of the user's own settings
        settings = [each for each in settings if each.kind in ("data", "schema", "code")]
        settings += _origins(before.origin, after.origin)
    metrics = dict.fromkeys([*before.metrics, *after.metrics])
    return Difference(
        before=before,
        after=after,
        changes=[*merged(settings), *_rows(old, new)],
        metrics=[MetricChange(each, before.metrics.get(each), after.metrics.get(each)) for each in metrics],
        nodes=[_node(node, old, new) for node in dict.fromkeys([*old.nodes, *new.nodes])],
    )


def _origins(before: Origin, after: Origin) -> list[Change]:
    found = [
        Change("features" if what.partition(".")[0] in FEATURES else "settings", what, was, now)
        for what, was, now in changed_values(flat("", before.settings), flat("", after.settings))
    ]
    for name in CODE:
        pairs = flat(name, getattr(before, name)), flat(name, getattr(after, name))
        found += [Change("code", what, was, now) for what, was, now in changed_values(*pairs)]
    return found


def _rows(before: RunNodes, after: RunNodes) -> list[Change]:
    pairs = changed_values(_rows_of(before), _rows_of(after))
    return [Change("data", f"rows of {split}", was, now) for split, was, now in pairs]


def _rows_of(run: RunNodes) -> dict[str, Any]:
    node = run.nodes.get("StatisticsGen")
    found = run.line.linked(node.execution.id, "output", "statistics") if node else []
    return dict(contents.rows(found[0])) if found else {}


def _node(name: str, before: RunNodes, after: RunNodes) -> NodeChange:
    pair = [
        (
            {artifact.id for artifact in run.line.linked(run.nodes[name].execution.id, "output")}
            if name in run.nodes
            else set()
        )
        for run in (before, after)
    ]
    states = [run.nodes[name].execution.state if name in run.nodes else None for run in (before, after)]
    return NodeChange(name, states[0], states[1], pair[0] == pair[1] if all(pair) else None)
