"""Measures how the time and memory of each step grow with the number of columns, on seeded tables.

Drafts settings for each table and runs the pipeline. Also compares the analysis of many columns with TensorFlow
Transform's own.
"""

import argparse
import dataclasses
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.table import Table

from benchmarks.runs.commands import CommandResult, run
from benchmarks.targets import Target, print_table, report_targets
from benchmarks.wide.table import LABEL, write_table
from common.project import ROOT
from pipeline.nodes import NODES

COLUMNS = (100, 500, 1_500)
ROWS = 2_000
SECONDS = 1.0  # of a node that is too short for an exponent
MIN_ANALYSIS, MIN_SEARCH, MAX_EXPONENT = 3.0, 20.0, 1.1


@dataclasses.dataclass(frozen=True)
class Width:
    """The measurements of one table.

    Attributes:
        columns: Number of its columns, without the label.
        seconds: Wall seconds by step: ``init``, each node, and the complete run.
        cpu: CPU seconds of the run.
        peak: Peak memory of the run in bytes.
    """

    columns: int
    seconds: Mapping[str, float]
    cpu: float
    peak: int


def main() -> None:
    """Prints the tables, and exits with 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wide", description=__doc__)
    parser.add_argument("--columns", default=",".join(map(str, COLUMNS)), metavar="N,…", help="widths [%(default)s]")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="rows of each table [%(default)s]")
    parser.add_argument("--texts", type=int, default=43, metavar="N", help="columns with a vocabulary [%(default)s]")
    parser.add_argument("--numbers", type=int, default=500, metavar="N", help="numeric columns [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of the analysis [%(default)s]")
    arguments = parser.parse_args()
    widths = [measure(int(each), arguments.rows) for each in arguments.columns.split(",")]
    _print(widths, arguments.rows)
    growth = [Target("exponent of the complete run", exponent(widths, "complete run"), MAX_EXPONENT, at_most=True)]
    report_targets([*(growth if len(widths) > 1 else []), *_compare_analysis(arguments)])


def measure(columns: int, rows: int) -> Width:
    """Drafts settings for a table and runs the pipeline, with the settings as drafted.

    Raises:
        RuntimeError: A command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "data" / "wide.csv"
        write_table(columns, rows, table)
        runner = str(ROOT / "local_runner.py")
        draft = run([runner, "init", f"--data={table}", f"--label={LABEL}", f"--into={folder}", "--json"])
        config = Path(folder) / draft.parsed["config"]
        finished = run([runner, f"--config={config}", f"--output={folder}/output", "--json"])
        return Width(columns, _seconds(draft, finished), finished.cpu, max(draft.peak, finished.peak))


def exponent(widths: Sequence[Width], step: str) -> float:
    """The exponent with which the time of a step grows from the second widest table to the widest.

    A step takes some time for any table, so it is not fitted over all of them.
    """
    before, last = sorted(widths, key=lambda each: each.columns)[-2:]
    return math.log(last.seconds[step] / before.seconds[step]) / math.log(last.columns / before.columns)


def _seconds(draft: CommandResult, finished: CommandResult) -> dict[str, float]:
    nodes = {node["id"]: node["seconds"] for node in finished.parsed["nodes"]}
    ran = {name: nodes[name] for name in NODES if nodes.get(name)}
    return {"init, with imports": draft.seconds, **ran, "complete run": finished.seconds}


def _print(widths: Sequence[Width], rows: int) -> None:
    table = Table(title=f"Seconds by step, {rows:,} rows", title_justify="left")
    for name in ("", *(f"{each.columns:,} columns" for each in widths), "exponent"):
        table.add_column(name, justify="right" if name else "left")
    for step in widths[-1].seconds:
        seconds = [each.seconds.get(step, 0.0) for each in widths]
        grows = len(widths) > 1 and min(seconds[-2:]) >= SECONDS
        shown = f"{exponent(widths, step):.2f}" if grows else ""
        table.add_row(step, *(f"{each:.1f}" for each in seconds), shown)
    table.add_row("CPU seconds of the run", *(f"{each.cpu:.0f}" for each in widths), "")
    table.add_row("peak memory, MB", *(f"{each.peak / 1e6:,.0f}" for each in widths), "")
    Console().print(table)


def _compare_analysis(arguments: argparse.Namespace) -> list[Target]:
    from benchmarks.wide.analysis import searches, vocabularies  # noqa: PLC0415 - imports TensorFlow

    theirs, ours = vocabularies(arguments.texts, arguments.rounds)
    their_search, our_search = searches(arguments.numbers)
    print_table(
        f"CPU seconds, median of {arguments.rounds}",
        {
            f"vocabularies of {arguments.texts} columns, one by one (tft.vocabulary)": f"{theirs:.2f}",
            f"vocabularies of {arguments.texts} columns, together": f"{ours:.2f}",
            f"inputs of {arguments.numbers} outputs, TFT's search": f"{their_search:.2f}",
            f"inputs of {arguments.numbers} outputs, linear search": f"{our_search:.2f}",
        },
    )
    return [
        Target("vocabularies, one by one / together", theirs / ours, MIN_ANALYSIS),
        Target("search for inputs, TFT's / linear", their_search / our_search, MIN_SEARCH),
    ]


if __name__ == "__main__":
    main()
