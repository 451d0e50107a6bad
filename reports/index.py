"""The page over all runs of an output folder: how each ended, its metrics over time, and which version is live."""

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from lineage.records import RunRecord
from lineage.store.reader import MetadataReader
from reports.drawing import charts
from reports.page import PAGE, write_page
from reports.rendering import render, write_whole
from reports.sections.evaluation import ROWS
from reports.source import SUMMARY

INDEX = "index.html"
SAVED_MODEL = "saved_model.pb"
UNKNOWN = "unknown"
METRICS_SHOWN = 3
RUNS_SHOWN = 1000


@dataclasses.dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        run_id: The run.
        link: Its page, from the index; ``None`` if there is none.
        status: How it ended.
        started: When it began.
        seconds: Wall time; ``None`` for a run that was killed.
        model: Name of the model; ``None`` where the run did not record it.
        version: The pushed version; ``None`` if nothing was pushed.
        metrics: The candidate's, over all rows of the eval split.
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
        rows: Newest first.
        metrics: Names of those that are shown.
        live: By model, the newest whole version in the folder that a server looks into.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    live: Mapping[str, str]

    def is_live(self, row: Row) -> bool:
        """Whether a server answers with the version that a run pushed."""
        live = self.live.values() if row.model is None else (self.live.get(row.model),)
        return row.version is not None and row.version in live


def write_pages(reader: MetadataReader, output: Path, run: str) -> tuple[Path, Path]:
    """Writes the page of a run, then the one over all runs, which links to it; returns both.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    return write_page(reader, output, run), write_index(reader, output)


def write_index(reader: MetadataReader, output: Path) -> Path:
    """Writes ``runs/index.html`` and returns it."""
    index = read_index(reader, output)
    path = output / "runs" / INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, render("index.html", index=index, charts=draw(index), shown=RUNS_SHOWN))
    return path


def read_index(reader: MetadataReader, output: Path) -> Index:
    """The runs that have a folder here; a store may serve several output folders."""
    runs = output / "runs"
    every = [run for run in reader.runs() if (runs / run.run_id).is_dir()]
    rows = [_row(run, runs / run.run_id) for run in every]
    found = {name for row in rows for name in row.metrics if name != ROWS}
    names = [name for name in dict.fromkeys((*_configured(every), *sorted(found))) if name in found]
    return Index(tuple(rows), tuple(names[:METRICS_SHOWN]), live_versions(output / "serving"))


def live_versions(serving: Path) -> dict[str, str]:
    """By model, the newest version that is whole: what TensorFlow Serving loads."""
    live: dict[str, str] = {}
    for saved in serving.glob(f"*/*/{SAVED_MODEL}"):
        model, version = saved.parent.parent.name, saved.parent.name
        if version.isdigit() and int(version) > int(live.get(model, -1)):
            live[model] = version
    return live


def draw(index: Index) -> list[Markup]:
    """Each metric over the runs of the table that have it, oldest first; thousands more would make the page heavy."""
    drawn = []
    for place, metric in enumerate(index.metrics):
        having = [row for row in reversed(index.rows[:RUNS_SHOWN]) if math.isfinite(_number(row, metric))]
        if having:
            labels = [f"{row.started:%Y-%m-%d %H:%M}" for row in having]
            drawn.append(charts.over_time(metric, labels, [_number(row, metric) for row in having], f"m{place}"))
    return drawn


def _configured(runs: Sequence[RunRecord]) -> list[str]:
    """The metrics in the order of the newest settings."""
    settings = next((run.origin.settings for run in runs if run.origin), {})
    return list((settings.get("evaluation") or {}).get("metrics") or ())


def _number(row: Row, metric: str) -> float:
    value = row.metrics.get(metric)
    return value if isinstance(value, int | float) else math.nan


def _row(run: RunRecord, folder: Path) -> Row:
    status, seconds, version, metrics = run.status, run.seconds, run.version, run.metrics
    if status == UNKNOWN and (folder / SUMMARY).exists():  # of an earlier version of this project
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        status, seconds, metrics = summary["status"], summary["seconds"], summary["metrics"]
        version = (summary["pushed"] or {}).get("version")
    link = f"{folder.name}/{PAGE}" if (folder / PAGE).exists() else None
    model = run.origin.settings.get("name") if run.origin else None
    return Row(run.run_id, link, status, run.started, seconds, model, version, metrics)
