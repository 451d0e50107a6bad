"""Compares the models of drafted settings with boosted trees, on the rows of the same splits.

The network trains on the train split, and stops by the validation split. The trees train on both, with their defaults,
and read the raw columns that the network's features read. All models are judged on the eval split. A difference counts
as a win or a loss if its 95% interval over resampled rows excludes zero.
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

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality.rivals import RIVALS, install
from benchmarks.quality.rows import Run
from benchmarks.quality.scores import METRICS, interval, is_better, score
from benchmarks.tables import source
from benchmarks.tables.tables import TABLES, PublicTable
from common.project import ROOT
from pipeline.config.loading import load_config

OUT = ROOT / "output/benchmarks/quality"
OURS = "onegraph"


@dataclasses.dataclass
class Result:
    """Scores of all models on one table.

    Attributes:
        item: Name of the table.
        rows: Rows in all splits.
        task: The task.
        scores: By model: the score on the eval split, averaged over the seeds.
        seconds: By model: wall time of one training. That of the network is the time of its node.
        against: By rival: ``win``, ``tie`` or ``loss`` of the network with the first seed.
        error: Why there are no scores, in one line.
    """

    item: str
    rows: int = 0
    task: str = ""
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    against: dict[str, str] = dataclasses.field(default_factory=dict)
    error: str = ""


def main() -> None:
    """Prints the scores of each table, then wins, ties, losses and mean ranks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="ITEM", help="names of tables [all of benchmarks.tables]")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings per model and table [1]")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="folder of the tables and the result")
    arguments = parser.parse_args()
    source.install()
    install()
    console, results = Console(soft_wrap=True), []
    for table in TABLES:
        if not arguments.only or table.item in arguments.only:
            result = compare(table, arguments.out, range(arguments.seeds))
            console.print("  ".join(_cells(result)), highlight=False)
            results.append(result)
            text = json.dumps([dataclasses.asdict(each) for each in results], indent=2)
            (arguments.out / "quality.json").write_text(text, encoding="utf-8")
    print_report(results, console)


def compare(table: PublicTable, out: Path, seeds: Sequence[int]) -> Result:
    """Runs the pipeline on a table as ``init`` drafts it, and fits the other models to the same rows."""
    result = Result(table.item)
    path = source.write(table, out / "data" / table.package)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        try:
            draft = _run(["init", "--data", str(path), "--label", table.label, "--into", folder, "--json"])
            settings, output = Path(folder) / draft["config"], Path(folder) / "output"
            problem = load_config(settings).problem
            result.task = problem.task
            totals: dict[str, list[float]] = {}
            for seed in seeds:
                options = ["--output", str(output), "--set", f"training.seed={seed}", "--json"]
                summary = _run(["--config", str(settings), *options])
                trainer = next(each for each in summary["nodes"] if each["id"] == "Trainer")
                run = Run(output, problem)
                train, evaluated = run.splits(("train", "validation"), ("eval",))
                found = {OURS: run.predictions(evaluated)}
                result.seconds.setdefault(OURS, trainer["seconds"])
                for name, rival in RIVALS.items():
                    start = time.perf_counter()
                    found[name] = rival(train, evaluated, problem.task, seed)
                    result.seconds.setdefault(name, time.perf_counter() - start)
                for name, predictions in found.items():
                    totals.setdefault(name, []).append(score(problem.task, evaluated.label, predictions))
                if not result.against:
                    result.rows = len(train.label) + len(evaluated.label)
                    result.against = {
                        name: _verdict(problem.task, evaluated.label, found[OURS], found[name]) for name in RIVALS
                    }
            result.scores = {name: float(np.mean(values)) for name, values in totals.items()}
        except RuntimeError as error:
            result.error = str(error)
    return result


def _verdict(task: str, label: np.ndarray, ours: np.ndarray, other: np.ndarray) -> str:
    low, high = interval(task, label, ours, other)
    return "win" if low > 0 else "loss" if high < 0 else "tie"


def _run(arguments: Sequence[str]) -> dict[str, Any]:
    """Runs a command and returns the JSON that it printed.

    Raises:
        RuntimeError: It printed none. A model that was not blessed counts too.
    """
    command = [sys.executable, str(ROOT / "local_runner.py"), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    document = json.loads(finished.stdout) if finished.stdout.startswith("{") else {}
    if finished.returncode not in (0, 4) or not document:
        lines = finished.stderr.strip().splitlines()
        raise RuntimeError(str(document.get("error") or (lines[-1] if lines else "no output")))
    return document


def _cells(result: Result) -> list[str]:
    if result.error:
        return [result.item, "", "", *([""] * (1 + len(RIVALS))), result.error]
    scores = [f"{result.scores[name]:.4g} ({result.seconds[name]:.0f} s)" for name in (OURS, *RIVALS)]
    return [
        result.item,
        f"{result.rows:,}",
        METRICS[result.task],
        *scores,
        ", ".join(result.against.values()),
    ]


def print_report(results: Sequence[Result], console: Console) -> None:
    """Prints the table of scores, and the summary by rival."""
    table = Table(title="Scores on the eval split", title_justify="left")
    for name in ("table", "rows", "metric", OURS, *RIVALS, "against each"):
        table.add_column(name, overflow="fold")
    for result in results:
        table.add_row(*_cells(result))
    console.print(table)
    complete = [each for each in results if not each.error]
    summary = Table("model", "mean rank", "onegraph wins", "ties", "losses", "onegraph at least as good")
    for name in (OURS, *RIVALS):
        rank = float(np.mean([_rank(each, name) for each in complete])) if complete else float("nan")
        verdicts = [each.against.get(name, "") for each in complete]
        counts = [str(verdicts.count(each)) if name != OURS else "" for each in ("win", "tie", "loss")]
        equal = sum(not is_better(each.task, each.scores[name], each.scores[OURS]) for each in complete)
        summary.add_row(name, f"{rank:.2f}", *counts, f"{equal} of {len(complete)}" if name != OURS else "")
    console.print(summary)


def _rank(result: Result, name: str) -> float:
    """Rank of a model on a table: 1 for the best. Equal scores share the mean of their ranks."""
    own = result.scores[name]
    better = sum(is_better(result.task, each, own) for each in result.scores.values())
    equal = sum(each == own for each in result.scores.values())
    return 1 + better + (equal - 1) / 2


if __name__ == "__main__":
    main()
