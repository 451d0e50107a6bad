"""Prints the list of runs, and the details of one run."""

from collections.abc import Sequence
from typing import Any

from lineage.commands.printer import Printer, print_json
from lineage.queries.results import RunDetails
from lineage.records import RunRecord

MAX_METRICS = 2  # per run, in the list
COMMIT_DIGITS = 10


def print_runs(runs: Sequence[RunRecord], as_json: bool) -> None:
    """Prints runs as a table or as JSON."""
    if as_json:
        print_json(runs)
        return
    rows = [
        (
            run.run_id,
            run.pipeline,
            run.status,
            None if run.seconds is None else f"{run.seconds:.0f} s",
            run.version,
            {name: f"{value:.4f}" for name, value in list(run.metrics.items())[:MAX_METRICS]},
            format_commit(run),
        )
        for run in runs
    ]
    Printer().table("", ("run", "pipeline", "status", "time", "version", "metrics", "commit"), rows)


def print_run_details(run: RunDetails, as_json: bool) -> None:
    """Prints the origin, nodes and metrics of a run."""
    if as_json:
        print_json(run)
        return
    printer = Printer()
    printer.pairs(
        f"run {run.run_id}",
        {
            "pipeline": run.pipeline,
            "status": run.status,
            "started": run.started,
            "time": None if run.seconds is None else f"{run.seconds:.1f} s",
            "version": run.version,
            "error": run.error,
            **_origin(run),
        },
    )
    rows = [(node.node, node.state, f"{node.seconds:.1f} s", node.outputs, node.same_as) for node in run.nodes]
    printer.table("Nodes", ("node", "state", "time", "outputs", "made by run"), rows)
    printer.pairs("Metrics on the eval split", run.metrics)


def format_commit(run: RunRecord, digits: int | None = COMMIT_DIGITS) -> str:
    """Returns the start of a run's commit, marked if files had changed. Empty if the commit is unknown."""
    if run.origin is None or run.origin.commit is None:
        return ""
    return run.origin.commit[:digits] + (" with changes" if run.origin.dirty else "")


def _origin(run: RunRecord) -> dict[str, Any]:
    if run.origin is None:
        return {}
    origin = run.origin
    return {
        "commit": format_commit(run, None),
        "lock": origin.lock,
        "command": origin.command,
        "user": f"{origin.user} on {origin.host}",
        "versions": {"python": origin.python, **origin.versions},
    }
