"""Prints what changed between two runs."""

from collections.abc import Sequence
from typing import Any

from lineage.commands.printer import Printer, print_json
from lineage.queries.results import Change, ChangeKind, RunDiff

ABSENT = "(none)"
KINDS: tuple[ChangeKind, ...] = ("data", "schema", "features", "settings", "code")


def print_diff(diff: RunDiff, as_json: bool) -> None:
    """Prints the differences between two runs."""
    if as_json:
        print_json(diff)
        return
    printer = Printer()
    printer.line(f"from run {diff.before.run_id} to run {diff.after.run_id}")
    for kind in KINDS:
        print_changes(printer, kind.capitalize(), diff.of_kind(kind))
    if not diff.changes:
        printer.line("Data, schema, features, settings and code are the same.")
    metrics = [(each.metric, each.before, each.after, _change(each.before, each.after)) for each in diff.metrics]
    printer.table("Metrics on the eval split", ("metric", "before", "after", "change"), metrics)
    nodes = [(each.node, each.before, each.after, each.same_outputs) for each in diff.nodes]
    printer.table("Nodes", ("node", "before", "after", "same outputs"), nodes)


def print_changes(printer: Printer, title: str, changes: Sequence[Change]) -> None:
    """Prints changes as a table."""
    rows = [(each.what, _value(each.before), _value(each.after), each.nodes) for each in changes]
    printer.table(title, ("name", "before", "after", "nodes"), rows)


def _value(value: Any) -> Any:
    return ABSENT if value is None else value


def _change(before: float | None, after: float | None) -> str | None:
    return None if before is None or after is None else f"{after - before:+.6g}"
