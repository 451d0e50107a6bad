"""Prints what changed between two runs, and why a node ran or was cached."""

from collections.abc import Sequence
from typing import Any, get_args

from lineage.commands.printer import Printer, print_json
from lineage.queries.results import Change, ChangeKind, Reason, RunDiff

ABSENT = "(none)"


def print_diff(diff: RunDiff, as_json: bool) -> None:
    """Prints the differences between two runs."""
    if as_json:
        print_json(diff)
        return
    printer = Printer()
    printer.line(f"from run {diff.before.run_id} to run {diff.after.run_id}")
    for kind in get_args(ChangeKind):
        _print_changes(printer, kind.capitalize(), diff.of_kind(kind))
    if not diff.changes:
        printer.line("Data, schema, features, settings and code are the same.")
    metrics = [(each.metric, each.before, each.after, _change(each.before, each.after)) for each in diff.metrics]
    printer.table("Metrics on the eval split", ("metric", "before", "after", "change"), metrics)
    nodes = [(each.node, each.before, each.after, each.same_outputs) for each in diff.nodes]
    printer.table("Nodes", ("node", "before", "after", "same outputs"), nodes)


def print_reason(reason: Reason, as_json: bool) -> None:
    """Prints why a node ran or was cached, and the reasons upstream."""
    if as_json:
        print_json(reason)
        return
    printer = Printer()
    _print_one_reason(printer, reason)
    for upstream in reason.back_to:
        printer.line("")
        printer.line("because upstream")
        _print_one_reason(printer, upstream)


def _print_one_reason(printer: Printer, reason: Reason) -> None:
    compared = f" (compared with run {reason.compared_with})" if reason.compared_with else ""
    printer.line(f"{reason.node} {_verb(reason.state)} in run {reason.run_id}: {reason.because}{compared}")
    _print_changes(printer, "", reason.changes)


def _verb(state: str) -> str:
    return state if state in ("ran", "failed") else f"was {state}"


def _print_changes(printer: Printer, title: str, changes: Sequence[Change]) -> None:
    rows = [(each.what, _value(each.before), _value(each.after), each.nodes) for each in changes]
    printer.table(title, ("name", "before", "after", "nodes"), rows)


def _value(value: Any) -> Any:
    return ABSENT if value is None else value


def _change(before: float | None, after: float | None) -> str | None:
    return None if before is None or after is None else f"{after - before:+.6g}"
