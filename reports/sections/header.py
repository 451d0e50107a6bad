"""What stands above all sections of a run's page: how it ended, in a few words and numbers."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from reports.source import Source

HEADLINE_METRICS = 4
SAYS = {
    "not_blessed": "Nothing was pushed: a judge did not bless the model.",
    "anomalies": "Stopped before Transform, nothing was pushed: the data does not meet the schema.",
    "failed": "Nothing was pushed: a component failed.",
    "partial": "Done as far as was asked: nothing was pushed.",
    "running": "It was still running when this page was written.",
    "interrupted": "It was killed or stopped before its end.",
    "unfinished": "It recorded no end; the machine that it ran on knows why.",
}


@dataclasses.dataclass(frozen=True)
class Head:
    """How a run ended.

    Attributes:
        problem: Name of the problem.
        run_id: The run.
        status: That of ``summary.json``, or what ML Metadata tells of a run that wrote none.
        says: The status in a sentence.
        error: Why it failed, in one line; empty if it did not.
        started: When it began.
        seconds: Wall time; ``None`` for a run that was killed.
        metrics: The first ones of the candidate over all rows of the eval split.
        thresholds: The blessing policy, held against the candidate.
        baseline: Version of the model it was compared with; ``None`` if there was none or it was never pushed.
    """

    problem: str
    run_id: str
    status: str
    says: str
    error: str
    started: datetime.datetime
    seconds: float | None
    metrics: Mapping[str, float | None]
    thresholds: Sequence[Mapping[str, Any]]
    baseline: str | None

    @property
    def is_good(self) -> bool | None:
        """Whether the run came to a pushed model; ``None`` where none was asked for, or it still runs."""
        return None if self.status in ("partial", "running") else self.status == "pushed"

    @property
    def kept(self) -> int:
        """How many of the thresholds are kept."""
        return sum(bool(each["ok"]) for each in self.thresholds)


def read_head(source: Source) -> Head:
    """The head of a run's page."""
    summary, run = source.summary, source.run
    status = summary.get("status") or run.status
    pushed = summary.get("pushed")
    says = f"Version {pushed['version']} is in {pushed['path']}" if pushed else SAYS.get(status, "")
    metrics = summary.get("metrics") or run.metrics
    return Head(
        problem=summary.get("problem") or run.pipeline or "pipeline",
        run_id=run.run_id,
        status=status,
        says=says or "How it ended is not recorded.",
        error=summary.get("error") or run.error or "",
        started=run.started,
        seconds=summary.get("seconds") or run.seconds,
        metrics=dict(list(metrics.items())[:HEADLINE_METRICS]),
        thresholds=summary.get("thresholds") or (),
        baseline=summary.get("baseline"),
    )
