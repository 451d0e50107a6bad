"""The decision about a run's model: each bound with the measured value."""

import contextlib
import dataclasses
from collections.abc import Sequence

from artifacts.files import UNREADABLE
from artifacts.thresholds import ThresholdResult
from reports.section import Section
from reports.source import MissingError, Source


@dataclasses.dataclass(frozen=True)
class Decision:
    """The bounds of the blessing policy and of the TFLite model.

    Attributes:
        results: The bounds, with the measured values.
        baseline: Version of the model that the candidate was compared with, or ``None`` if there was none or it was
            never pushed.
        has_baseline: Whether the candidate was compared with another model.
    """

    results: Sequence[ThresholdResult]
    baseline: str | None
    has_baseline: bool


def read(source: Source) -> Decision:
    """Reads the decision from the summary of a run.

    Raises:
        MissingError: No bound was checked.
    """
    if source.summary is None or not source.summary.thresholds:
        source.path("Evaluator", "evaluation")  # says why there is none
        raise MissingError("no threshold was checked")
    has_baseline = source.summary.baseline is not None
    with contextlib.suppress(*UNREADABLE):
        has_baseline = has_baseline or source.metrics.has_baseline
    return Decision(source.summary.thresholds, source.summary.baseline, has_baseline)


SECTION = Section("decision", "Thresholds and the decision", read, absent="No decision")
