"""Plots of a run's model over all rows: calibration and ROC curve, or the confusion matrix."""

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from artifacts.nodes.metrics import read_plots
from artifacts.slices import OVERALL
from reports.drawing import charts
from reports.section import Section
from reports.source import Source
from reports.statistics.buckets import Bin, Confusion, calibration, read_buckets, read_confusion, roc


@dataclasses.dataclass(frozen=True)
class Plots:
    """Plots over all rows of the eval split.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``, or ``None`` if it is not known.
        positive: Name of class 1.
        calibration: Mean prediction and observed fraction by bin, or empty except for a binary classifier.
        roc: False and true positive rates, or empty except for a binary classifier.
        confusion: The confusion matrix, or ``None`` except for several classes.
    """

    task: str | None
    positive: str
    calibration: tuple[Bin, ...]
    roc: tuple[tuple[float, float], ...]
    confusion: Confusion | None


def read(source: Source) -> Plots:
    """Reads the plots of a run.

    Raises:
        MissingError: The Evaluator did not finish, or its folder no longer exists.
    """
    overall = read_plots(source.path("Evaluator", "evaluation")).get(OVERALL)
    classes = (source.problem.get("label") or {}).get("classes") or ()
    buckets = read_buckets(overall.calibration_histogram_buckets) if overall else ()
    matrices = overall.multi_class_confusion_matrix_at_thresholds if overall else None
    return Plots(
        task=source.problem.get("task"),
        positive=classes[-1] if classes else "class 1",
        calibration=calibration(buckets),
        roc=roc(buckets),
        confusion=read_confusion(matrices, classes) if matrices and matrices.matrices else None,
    )


def draw(plots: Plots) -> Sequence[Markup]:
    """Draws the calibration plot and the ROC curve."""
    drawn = []
    if plots.calibration:
        drawn.append(charts.calibration(plots.calibration, plots.positive, "calibration"))
    if plots.roc:
        drawn.append(charts.roc(plots.roc, "roc"))
    return drawn


SECTION = Section("plots", "Plots", read, absent="Not evaluated", draw=draw)
