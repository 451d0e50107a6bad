"""The index page of an output folder: the result of each run, metrics over time, and the live versions."""

import contextlib
import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from artifacts.files import UNREADABLE
from artifacts.names import SAVED_MODEL_FILE, SUMMARY_FILE
from artifacts.nodes.push import is_version
from artifacts.summary import read_summary
from lineage.records import RunRecord
from lineage.store.reader import MetadataReader
from reports.drawing import charts
from reports.page import PAGE, write_page
from reports.rendering import render, write_atomically
from reports.statistics.slices import ROWS

INDEX = "index.html"
UNKNOWN = "unknown"
MAX_METRICS = 3
MAX_RUNS = 1000


@dataclasses.dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        run_id: The run.
        link: Its page, relative to the index, or ``None`` if there is none.
        status: Its status.
        started: When it started, in UTC.
        seconds: Wall time, or ``None`` for a killed run.
        model: Name of the model, or ``None`` if the run did not record it.
        version: The pushed version, or ``None`` if nothing was pushed.
        metrics: The candidate's metrics over all rows of the eval split.
    """

    run_id: str
    link: str | None
    status: str
    started: datetime.datetime
    seconds: float | None
    model: str | None
    version: str | None
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Index:
    """All runs of an output folder.

    Attributes:
        rows: One row per run, newest first.
        metrics: Names of the metrics to show.
        live: The newest complete version by model, in the folder that a server reads.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    live: Mapping[str, str]

    def is_live(self, row: Row) -> bool:
        """Returns whether a server serves the version that a run pushed."""
        live = self.live.values() if row.model is None else (self.live.get(row.model),)
        return row.version is not None and row.version in live


def write_pages(reader: MetadataReader, output: Path, run: str) -> tuple[Path, Path]:
    """Writes the page of a run and the index, which links to it.

    Returns:
        The page and the index.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    return write_page(reader, output, run), write_index(reader, output)


def write_index(reader: MetadataReader, output: Path) -> Path:
    """Writes ``runs/index.html`` and returns its path."""
    index = read_index(reader, output)
    path = output / "runs" / INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render("index.html", index=index, charts=draw(index), max_runs=MAX_RUNS))
    return path


def read_index(reader: MetadataReader, output: Path) -> Index:
    """Reads the runs that have a folder here. A store may serve several output folders."""
    folder = output / "runs"
    runs = [run for run in reader.runs() if (folder / run.run_id).is_dir()]
    rows = [_row(run, folder / run.run_id) for run in runs]
    found = {name for row in rows for name in row.metrics if name != ROWS}
    names = [name for name in dict.fromkeys((*_configured_metrics(runs), *sorted(found))) if name in found]
    return Index(tuple(rows), tuple(names[:MAX_METRICS]), live_versions(output / "serving"))


def live_versions(serving: Path) -> dict[str, str]:
    """Returns the newest complete version by model, which is the one that TensorFlow Serving loads."""
    live: dict[str, str] = {}
    for saved in serving.glob(f"*/*/{SAVED_MODEL_FILE}"):
        model, version = saved.parent.parent.name, saved.parent.name
        if is_version(version) and int(version) > int(live.get(model, -1)):
            live[model] = version
    return live


def draw(index: Index) -> list[Markup]:
    """Draws each metric over time, oldest run first, for the runs in the table. More runs would make the page large."""
    drawn = []
    for number, metric in enumerate(index.metrics):
        rows = [row for row in reversed(index.rows[:MAX_RUNS]) if math.isfinite(_value(row, metric))]
        if rows:
            labels = [f"{row.started:%Y-%m-%d %H:%M}" for row in rows]
            drawn.append(charts.over_time(metric, labels, [_value(row, metric) for row in rows], f"m{number}"))
    return drawn


def _configured_metrics(runs: Sequence[RunRecord]) -> list[str]:
    """Returns the metrics in the order of the newest settings."""
    settings = next((run.origin.settings for run in runs if run.origin), {})
    return list((settings.get("evaluation") or {}).get("metrics") or ())


def _value(row: Row, metric: str) -> float:
    value = row.metrics.get(metric)
    return value if isinstance(value, int | float) else math.nan


def _row(run: RunRecord, folder: Path) -> Row:
    status, seconds, version, metrics = run.status, run.seconds, run.version, run.metrics
    if status == UNKNOWN:  # a run of an earlier version of this project, which recorded no result in ML Metadata
        with contextlib.suppress(*UNREADABLE):
            summary = read_summary(folder / SUMMARY_FILE)
            status, seconds, metrics = summary.status, summary.seconds, summary.metrics
            version = summary.pushed.version if summary.pushed else None
    link = f"{folder.name}/{PAGE}" if (folder / PAGE).exists() else None
    model = run.origin.settings.get("name") if run.origin else None
    return Row(run.run_id, link, status, run.started, seconds, model, version, metrics)
