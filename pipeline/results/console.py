"""The console output of a run."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from artifacts.summary import Node, RunSummary, Tflite
from artifacts.thresholds import ThresholdResult, is_defined
from common.console import DataConsole
from common.terminal import printable
from custom_components.anomaly_gate.anomaly import Anomaly
from pipeline.results import ablation

STYLES = {"ran": "green", "cached": "cyan", "skipped": "dim", "failed": "bold red"}
NAME_WIDTH = 20
HEADLINE_METRICS = 4


class RunConsole:
    """Prints the progress of each node and the result of the run, as plain lines if the output is not a terminal."""

    def __init__(self, file: IO[str]) -> None:
        # A run goes on without its console, such as after head has ended.
        self._console = DataConsole(file, tolerant=True)
        self._live: Progress | None = None
        self._shown = ""

    def begin(self, problem: str, run_id: str, log: Path, notes: Sequence[str] = ()) -> None:
        """Prints what runs, where its log is, and what the checks found."""
        self._console.print(f"[bold]{problem}[/] run {run_id}, log in {escape(_path(log))}")
        for note in notes:
            self._console.print(f"  [dim]{escape(note)}[/]")
        self._show("loading TensorFlow, Beam and TFX")

    def node_started(self, node_id: str) -> None:
        """Shows the node as running."""
        self._show(node_id)

    def node_progress(self, source: str, line: str) -> None:
        """Shows the progress of a node, and prints the progress of each process if there are several."""
        if source:
            self._console.print(f"    [dim]{escape(source)}[/] {escape(line)}")
        elif self._live:
            [task] = self._live.task_ids
            self._live.update(task, description=f"{self._shown:<{NAME_WIDTH}}{escape(line)}")

    def node_finished(self, node: Node) -> None:
        """Prints the node's line."""
        self._hide()
        seconds = f"{node.seconds:9.1f} s" if node.state in ("ran", "failed") else ""
        self._console.print(f"  {node.id:<{NAME_WIDTH - 1}} [{STYLES[node.state]}]{node.state}[/]{seconds}")

    def end(
        self, summary: RunSummary, anomalies: Sequence[Anomaly], log: Path, settings: str, page: Path | None = None
    ) -> None:
        """Prints the result of the run, its report page, and the next step."""
        self._hide()
        settings = shlex.quote(settings)
        self._print_left_out(summary)
        self._print_thresholds(summary)
        self._print_anomalies(anomalies)
        match summary.status:
            case "pushed" if summary.pushed:
                self._console.print(_headline(summary))
                folder = _path(Path(summary.pushed.path))
                self._console.print(f"[bold green]pushed[/] version {summary.pushed.version} to {escape(folder)}")
                self._print_tflite(summary.tflite)
                next_step = f".venv/bin/saved_model_cli show --all --dir {folder}"
            case "not_blessed":
                self._console.print(Text.assemble(("not blessed", "bold red"), ": nothing was pushed"))
                next_step = f"change the network or evaluation.thresholds in {settings}, then run again"
                if summary.error:
                    self._console.print(Text(summary.error))
                    skew = summary.error.startswith("SkewGuard")
                    fix = "check models/signatures.py" if skew else f"change tflite in {settings}"
                    next_step = f"{fix}, then run again"
            case "anomalies":
                self._console.print("[bold red]stopped[/] before Transform: nothing was pushed")
                next_step = f"fix the data, or the schema that {settings} names, then run again"
            case "partial" if summary.ablation:
                report = summary.ablation
                self._print_rows(ablation.title(report), ablation.HEADER, [*ablation.table_rows(report)])
                self._console.print(escape(ablation.headline(report)))
                next_step = ablation.next_step(report, settings)
            case "partial":
                self._console.print("[bold]done[/]: the requested nodes finished, and nothing was pushed")
                next_step = "run the same command without --to"
            case _:
                self._console.print(Text.assemble(("failed", "bold red"), " ", summary.error or ""))
                next_step = f"less {_path(log)}"
        if page:
            self._console.print(f"report: {escape(_path(page))}")
        self._console.print(f"{summary.seconds:.1f} s in total. Next: {escape(next_step)}")

    def checked(self, status: str, pushed: str | None, error: str | None, seconds: float) -> None:
        """Prints the result of checking a compiled pipeline."""
        self._hide()
        match status:
            case "pushed":
                self._console.print(f"[bold green]pushed[/] to {escape(_path(Path(pushed or '')))}")
            case "not_blessed":
                self._console.print(Text.assemble(("not blessed", "bold red"), ": nothing was pushed"))
            case _:
                self._console.print(Text.assemble((status, "bold red"), " ", error or ""))
        self._console.print(f"{seconds:.1f} s in total")

    def note(self, text: str) -> None:
        """Prints one line that does not change the result of the run."""
        self._hide()
        self._console.print(Text(" ".join(text.split())))

    def warning(self, text: str) -> None:
        """Prints what to know before trusting the model, in one line."""
        self._hide()
        self._console.print(Text.assemble(("warning", "bold yellow"), " ", " ".join(text.split())))

    def error(self, text: str) -> None:
        """Prints an error in one line."""
        self._hide()
        self._console.print(Text.assemble(("error", "bold red"), " ", text))

    def _show(self, activity: str) -> None:
        self._hide()
        self._shown = activity
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            # Redirects would show the logs of TensorFlow and TFX.
            self._live = Progress(
                *columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.add_task(f"{activity:<{NAME_WIDTH}}", total=None)
            self._live.start()

    def _hide(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _print_tflite(self, tflite: Tflite | None) -> None:
        if tflite and tflite.path:
            size, folder = f"{tflite.bytes / 1000:.0f} kB", _path(Path(tflite.path).parent)
            self._console.print(f"  TFLite: {size}, {tflite.p50_ms:.2g} ms per row, in {escape(folder)}")

    def _print_left_out(self, summary: RunSummary) -> None:
        if summary.left_out:
            parts = ", ".join(f"{rows:,} ({reason})" for reason, rows in summary.left_out.items())
            self._console.print(escape(printable(f"rows in no split: {parts}")))

    def _print_thresholds(self, summary: RunSummary) -> None:
        rows = [(each.metric, each.slice, _bound(each), _value(each), _verdict(each)) for each in summary.thresholds]
        compared = any(each.kind == "change" and each.value is not None for each in summary.thresholds)
        baseline = f"version {summary.baseline}" if summary.baseline else "a model that was never pushed"
        title = f"Thresholds, compared with {baseline}" if compared else "Thresholds, without a model to compare with"
        self._print_rows(title, ("metric", "slice", "bound", "value", ""), rows)

    def _print_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        rows = [(each.feature, each.split, each.found, each.allowed) for each in anomalies]
        self._print_rows("Anomalies", ("feature", "split", "found", "the schema allows"), rows)

    def _print_rows(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints a table in a terminal, and one line per row in a pipe."""
        if not rows:
            return
        if self._console.is_terminal:
            table = Table(title=title, title_justify="left", title_style="bold")
            for name in header:
                table.add_column(name, overflow="fold")
            for row in rows:
                table.add_row(*(escape(printable(cell)) for cell in row))
            self._console.print(table, soft_wrap=False)
            return
        self._console.print(f"{title}:")
        for row in rows:
            pairs = [f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=True)]
            self._console.print(escape(printable(f"  {'; '.join(pairs)}")))


def _headline(summary: RunSummary) -> str:
    shown = list(summary.metrics.items())[:HEADLINE_METRICS]
    return "eval split: " + ", ".join(f"{name} {value:.4f}" for name, value in shown)


def _bound(result: ThresholdResult) -> str:
    words = {"value": "", "change": "change ", "better_than_trivial": "better than trivial by "}
    return f"{words[result.kind]}{result.comparison} {result.bound:g}"


def _value(result: ThresholdResult) -> str:
    if result.value is None or not is_defined(result.value):
        return result.absence
    if 0 < abs(result.value) < 1e-4 and result.kind != "better_than_trivial":
        return f"{result.value:.1e}"
    trivial = f" (trivial model: {result.trivial:.5f})" if result.trivial is not None else ""
    return f"{result.value:.5f}" if result.kind == "value" else f"{result.value:+.5f}{trivial}"


def _verdict(result: ThresholdResult) -> str:
    return "ok" if result.ok else "MISSED"


def _path(path: Path) -> str:
    """Returns the path relative to the current folder, or as is if it is outside, quoted for a shell."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if not relative.startswith("..") else str(path))
