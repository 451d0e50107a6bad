"""Drafts settings for public tables, and runs the pipeline on them without an edit.

For each table it prints the metric of the pushed model on the eval split, and that of a model that knows only the
distribution of the label. On two cores all tables take about an hour.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.tables.source import install, trivial, write
from benchmarks.tables.tables import TABLES, PublicTable
from common.project import ROOT

OUT = ROOT / "output/benchmarks/tables"


@dataclasses.dataclass
class Outcome:
    """What became of a table.

    Attributes:
        table: The table.
        draft: What ``init --json`` printed, or nothing if it failed.
        summary: What the run printed, or nothing if there was none.
        draft_seconds: Wall time of ``init``.
        seconds: Wall time of the run.
        error: Why the draft or the run failed, in one line.
    """

    table: PublicTable
    draft: dict[str, Any] = dataclasses.field(default_factory=dict)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    draft_seconds: float = 0.0
    seconds: float = 0.0
    error: str = ""


def main() -> None:
    """Prints a row for each table, and exits with 1 if a model was not pushed or is not better than the trivial one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="ITEM", help="names of tables [all]")
    parser.add_argument("--init-only", action="store_true", help="draft the settings, and do not run the pipeline")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="folder of the tables and the result")
    arguments = parser.parse_args()
    install()
    console, outcomes = Console(soft_wrap=True), []
    for table in TABLES:
        if not arguments.only or table.item in arguments.only:
            outcome = try_table(table, arguments.out, arguments.init_only)
            console.print(_line(outcome, arguments.out), highlight=False)
            outcomes.append(outcome)
            result = json.dumps([dataclasses.asdict(each) for each in outcomes], indent=2)
            (arguments.out / "tables.json").write_text(result, encoding="utf-8")  # a later table may be interrupted
    console.print(_report(outcomes, arguments.out))
    failed = [each for each in outcomes if each.error or (each.summary and not _is_better(each, arguments.out))]
    sys.exit(1 if failed else 0)


def try_table(table: PublicTable, out: Path, init_only: bool = False) -> Outcome:
    """Drafts settings for a table and runs them."""
    outcome = Outcome(table)
    path = write(table, out / "data" / table.package)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        draft = ["init", "--data", str(path), "--label", table.label, "--into", folder, "--json"]
        outcome.draft, outcome.error, outcome.draft_seconds = _run(draft)
        if outcome.draft and not init_only:
            settings = Path(folder) / outcome.draft["config"]
            run = ["--config", str(settings), "--output", f"{folder}/output", "--json"]
            outcome.summary, outcome.error, outcome.seconds = _run(run)
    return outcome


def _run(arguments: Sequence[str]) -> tuple[dict[str, Any], str, float]:
    """Runs a command; returns the JSON that it printed, why it failed, and its wall time."""
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "local_runner.py"), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = time.perf_counter() - start
    document = json.loads(finished.stdout) if finished.stdout.startswith("{") else {}
    lines = finished.stderr.strip().splitlines()
    failed = document.get("error") or document.get("status") or (lines[-1] if lines else "no output")
    return document, str(failed) if finished.returncode else "", seconds


def _values(outcome: Outcome, out: Path) -> tuple[str, float | None, float]:
    """The metric, its value and that of the trivial model."""
    metric = outcome.draft["thresholds"][0]["metric"]
    found = outcome.summary.get("metrics", {}).get(metric)
    path = out / "data" / outcome.table.package / f"{outcome.table.item}.csv"
    return metric, found, trivial(path, outcome.table.label, metric)


def _is_better(outcome: Outcome, out: Path) -> bool:
    metric, found, bound = _values(outcome, out)
    return found is not None and (found > bound if metric == "auc" else found < bound)


def _line(outcome: Outcome, out: Path) -> str:
    return "  ".join(_cells(outcome, out))


def _cells(outcome: Outcome, out: Path) -> list[str]:
    name = f"{outcome.table.package}/{outcome.table.item}"
    if not outcome.draft:
        return [name, "", "", "", "", "", f"{outcome.draft_seconds:.1f}", "", f"init: {outcome.error}"]
    metric, found, bound = _values(outcome, out)
    pushed = "yes" if outcome.summary.get("pushed") else outcome.error or "not run"
    return [
        name,
        f"{outcome.draft['rows']:,}",
        f"{len(outcome.draft['columns']):,}",
        outcome.draft["task"],
        f"{metric} {found:.4g}" if found is not None else "",
        f"{bound:.4g}",
        f"{outcome.draft_seconds:.1f}",
        f"{outcome.seconds:.0f}",
        pushed,
    ]


def _report(outcomes: Sequence[Outcome], out: Path) -> Table:
    table = Table(title="Drafted settings, run without an edit", title_justify="left")
    for name in ("table", "rows", "columns", "task", "model", "trivial", "init (s)", "run (s)", "pushed"):
        table.add_column(name, overflow="fold")
    for outcome in outcomes:
        table.add_row(*_cells(outcome, out))
    return table


if __name__ == "__main__":
    main()
