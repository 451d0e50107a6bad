"""Prints why a node ran or was cached."""

from lineage.commands.print_diff import print_changes
from lineage.commands.printer import Printer, print_json
from lineage.queries.results import Reason


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
    print_changes(printer, "", reason.changes)


def _verb(state: str) -> str:
    return state if state in ("ran", "failed") else f"was {state}"
