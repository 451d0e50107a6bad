"""The header of a run's page: status, metrics and times."""

import contextlib
import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from artifacts.files import UNREADABLE
from artifacts.nodes.statistics import read_rows, split_names
from artifacts.thresholds import ThresholdResult
from reports.source import Source

MAX_METRICS = 4
MESSAGES = {
    "not_blessed": "Nothing was pushed: the model was not blessed.",
    "anomalies": "Stopped before Transform: the data does not match the schema. Nothing was pushed.",
    "failed": "Nothing was pushed: a component failed.",
    "partial": "The requested nodes finished. Nothing was pushed.",
    "running": "The run was still in progress when this page was written.",
    "interrupted": "The run was killed or stopped.",
    "unfinished": "The run recorded no result. The machine that it ran on may have more information.",
}


@dataclasses.dataclass(frozen=True)
class Header:
    """Status, metrics and times of a run.

    Attributes:
        problem: Name of the problem.
        run_id: The run.
        status: The status in ``summary.json``, or the one in ML Metadata if the run wrote no summary.
        message: The status in a sentence.
        error: Why it failed, in one line, or empty if it did not.
        warnings: What to know before trusting the model, one line each.
        started: When it started, in UTC.
        seconds: Wall time, or ``None`` for a killed run.
        metrics: The first few metrics of the candidate over all rows of the eval split.
        thresholds: The bounds, with the measured values.
        rows: Number of rows of all splits, or 0 if it is not known.
    """

    problem: str
    run_id: str
    status: str
    message: str
    error: str
    warnings: Sequence[str]
    started: datetime.datetime
    seconds: float | None
    metrics: Mapping[str, float]
    thresholds: Sequence[ThresholdResult]
    rows: int

    @property
    def is_success(self) -> bool | None:
        """Whether the run pushed a model, or ``None`` if it was not supposed to, or is still running."""
        return None if self.status in ("partial", "running") else self.status == "pushed"

    @property
    def met_thresholds(self) -> int:
        """Number of thresholds that are met."""
        return sum(each.ok for each in self.thresholds)


def read_header(source: Source) -> Header:
    """Reads the header of a run's page."""
    summary, run = source.summary, source.run
    status = summary.status if summary else run.status
    pushed = summary.pushed if summary else None
    message = f"Version {pushed.version} is in {pushed.path}" if pushed else MESSAGES.get(status, "")
    metrics = (summary.metrics if summary else None) or run.metrics
    return Header(
        problem=(summary.problem if summary else None) or run.pipeline or "pipeline",
        run_id=run.run_id,
        status=status,
        message=message or "The result was not recorded.",
        error=(summary.error if summary else None) or run.error or "",
        warnings=summary.warnings if summary else (),
        started=run.started,
        seconds=(summary.seconds if summary else None) or run.seconds,
        metrics=dict(list(metrics.items())[:MAX_METRICS]),
        thresholds=summary.thresholds if summary else (),
        rows=_rows(source),
    )


def _rows(source: Source) -> int:
    with contextlib.suppress(*UNREADABLE):  # the data section says why
        splits = split_names(source.artifact("StatisticsGen", "statistics").properties)
        return sum(read_rows(source.path("StatisticsGen", "statistics"), splits).values())
    return 0
