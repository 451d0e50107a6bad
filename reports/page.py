"""The page of one run: all sections read, drawn, and written into one file."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import DecodeError
from markupsafe import Markup

from lineage.store.reader import MetadataReader
from reports.drawing import charts
from reports.rendering import render, write_whole
from reports.sections.anomalies import Anomalies, read_anomalies
from reports.sections.dag import Dag, read_dag
from reports.sections.data import Data, read_data
from reports.sections.evaluation import ROWS, Evaluation, read_evaluation
from reports.sections.gates import Device, Skew, read_device, read_skew
from reports.sections.header import Head, read_head
from reports.sections.lineage import View, read_view
from reports.sections.settings import Started, read_started
from reports.sections.training import Search, Training, read_search, read_training
from reports.source import MissingError, Source, read_source

PAGE = "report.html"
CURVES_SHOWN, SLICE_CHARTS = 6, 2
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Missing:
    """Stands for a section that has nothing to show.

    Attributes:
        why: In a few words.
    """

    why: str


@dataclasses.dataclass(frozen=True)
class Page:
    """What the page of a run shows, section by section.

    Attributes:
        source: The run.
        head: How it ended.
        dag: The nodes.
        data: Rows and features.
        anomalies: Where the data does not meet the schema.
        training: Curves and hyperparameters.
        search: The Tuner's trials.
        evaluation: Metrics by slice, and the plots.
        skew: The skew guard's result.
        device: The TFLite model.
        started: Settings and code.
        view: The lineage graph.
    """

    source: Source
    head: Head
    dag: Dag | Missing
    data: Data | Missing
    anomalies: Anomalies | Missing
    training: Training | Missing
    search: Search | Missing
    evaluation: Evaluation | Missing
    skew: Skew | Missing
    device: Device | Missing
    started: Started | Missing
    view: View | Missing


def write_page(reader: MetadataReader, output: Path, run: str) -> Path:
    """Writes ``runs/<run id>/report.html`` and returns it.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    page = read_page(read_source(reader, output, run))
    path = page.source.folder / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, render("run.html", page=page, charts=draw(page)))
    return path


def read_page(source: Source) -> Page:
    """Reads every section; one that cannot be read says why, and leaves the others alone."""
    return Page(
        source=source,
        head=read_head(source),
        dag=_read(read_dag, source),
        data=_read(read_data, source),
        anomalies=_read(read_anomalies, source),
        training=_read(read_training, source),
        search=_read(read_search, source),
        evaluation=_read(read_evaluation, source),
        skew=_read(read_skew, source),
        device=_read(read_device, source),
        started=_read(read_started, source),
        view=_read(read_view, source),
    )


def draw(page: Page) -> dict[str, list[Markup]]:
    """The pictures with axes, by section."""
    pictures: dict[str, list[Markup]] = {"training": [], "search": [], "slices": [], "plots": []}
    if isinstance(page.training, Training):
        shown = page.training.curves[:CURVES_SHOWN] if page.training.kept_step is not None else ()
        kept = page.training.kept_step
        pictures["training"] = [charts.training_curve(each, kept, f"t{place}") for place, each in enumerate(shown)]
    if isinstance(page.search, Search) and any(each.score is not None for each in page.search.trials):
        pictures["search"] = [charts.trials(page.search, "trials")]
    if isinstance(page.evaluation, Evaluation):
        found = page.evaluation
        pictures["slices"] = [
            charts.by_slice(found.slices, metric, f"s{place}") for place, metric in enumerate(_drawn(page, found))
        ]
        if found.calibration:
            classes = (page.source.problem.get("label") or {}).get("classes") or ("class 0", "class 1")
            pictures["plots"].append(charts.calibration(found.calibration, classes[-1], "calibration"))
        if found.roc:
            pictures["plots"].append(charts.roc(found.roc, "roc"))
    return pictures


def _drawn(page: Page, found: Evaluation) -> list[str]:
    """The metrics that are drawn by slice: those that the policy bounds come first."""
    if len(found.slices) < 2:
        return []
    bounded = [each["metric"] for each in page.head.thresholds]
    names = [name for name in dict.fromkeys((*bounded, *found.names)) if name in found.names and name != ROWS]
    return names[:SLICE_CHARTS]


def _read(read: Callable[[Source], T], source: Source) -> T | Missing:
    try:
        return read(source)
    except MissingError as error:
        return Missing(str(error))
    except (OSError, ValueError, KeyError, TypeError, IndexError, DecodeError) as error:
        logging.exception("A section of the page was left out: %s", read.__name__)
        return Missing(f"its files cannot be read: {_line(error)}")


def _line(error: Any) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
