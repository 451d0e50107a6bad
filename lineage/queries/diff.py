"""``diff``: what changed between two runs."""

from collections.abc import Mapping
from pathlib import Path

from artifacts.nodes.statistics import read_readable_rows, split_names
from lineage.graph.run_nodes import RunNodes, read_run_nodes
from lineage.queries.changes import changed_settings, changed_values, flat, merged
from lineage.queries.results import Change, MetricChange, NodeChange, RunDiff
from lineage.records import Origin, RunRecord
from lineage.store.reader import MetadataReader

# Fields of a run's origin that describe its code and packages.
CODE = ("commit", "dirty", "lock", "python", "versions")
# Settings that describe features, by the first part of their dotted key.
FEATURES = ("task", "label", "features")


def diff(reader: MetadataReader, before: RunRecord, after: RunRecord) -> RunDiff:
    """Compares the origins, settings, nodes and metrics of two runs."""
    old, new = read_run_nodes(reader, before), read_run_nodes(reader, after)
    both = [node for node in new.nodes if node in old.nodes]
    changes = [
        change for node in both for change in changed_settings(old.nodes[node].producer, new.nodes[node].producer)
    ]
    if before.origin and after.origin:  # then compare the user's own settings rather than those of the nodes
        changes = [each for each in changes if each.kind in ("data", "schema", "code")]
        changes += _changed_origin(before.origin, after.origin)
    metrics = dict.fromkeys([*before.metrics, *after.metrics])
    return RunDiff(
        before=before,
        after=after,
        changes=[*merged(changes), *_changed_rows(old, new)],
        metrics=[MetricChange(each, before.metrics.get(each), after.metrics.get(each)) for each in metrics],
        nodes=[_node_change(node, old, new) for node in dict.fromkeys([*old.nodes, *new.nodes])],
    )


def _changed_origin(before: Origin, after: Origin) -> list[Change]:
    found = [
        Change("features" if key.partition(".")[0] in FEATURES else "settings", key, old, new)
        for key, old, new in changed_values(flat("", before.settings), flat("", after.settings))
    ]
    for name in CODE:
        pairs = flat(name, getattr(before, name)), flat(name, getattr(after, name))
        found += [Change("code", key, old, new) for key, old, new in changed_values(*pairs)]
    return found


def _changed_rows(before: RunNodes, after: RunNodes) -> list[Change]:
    changed = changed_values(_rows(before), _rows(after))
    return [Change("data", f"rows of {split}", old, new) for split, old, new in changed]


def _rows(run: RunNodes) -> Mapping[str, int]:
    node = run.nodes.get("StatisticsGen")
    statistics = run.graph.artifacts_of(node.execution.id, "output", "statistics") if node else []
    return read_readable_rows(Path(statistics[0].uri), split_names(statistics[0].properties)) if statistics else {}


def _node_change(name: str, before: RunNodes, after: RunNodes) -> NodeChange:
    old, new = _outputs(name, before), _outputs(name, after)
    states = [run.nodes[name].execution.state if name in run.nodes else None for run in (before, after)]
    return NodeChange(name, states[0], states[1], old == new if old and new else None)


def _outputs(name: str, run: RunNodes) -> set[int]:
    if name not in run.nodes:
        return set()
    return {artifact.id for artifact in run.graph.artifacts_of(run.nodes[name].execution.id, "output")}
