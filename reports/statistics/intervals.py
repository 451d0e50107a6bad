"""95% intervals of areas under curves, in closed form from counts. The Evaluator writes those of other metrics."""

import math
from collections.abc import Callable
from typing import NamedTuple

from common.intervals import Interval, Z


class Counts(NamedTuple):
    """Counts of a slice.

    Attributes:
        rows: Number of rows.
        positives: Number of rows of class 1.
    """

    rows: float
    positives: float


def roc_area(area: float, positives: float, negatives: float) -> Interval | None:
    """Interval of the area under a ROC curve: Hanley and McNeil, Radiology 143 (1982), on the logit scale."""
    if positives < 1 or negatives < 1 or not 0 < area < 1:
        return None
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (above - area**2) + (negatives - 1) * (below - area**2)
    return _on_logits(area, math.sqrt(max(variance, 0.0) / (positives * negatives)) / (area * (1 - area)))


def precision_recall_area(area: float, positives: float) -> Interval | None:
    """Interval of the area under a precision-recall curve: Boyd, Eng and Page, ECML PKDD (2013), on the logit scale."""
    if positives < 1 or not 0 < area < 1:
        return None
    return _on_logits(area, 1 / math.sqrt(positives * area * (1 - area)))


# By name of the metric in the settings.
AREAS: dict[str, Callable[[float, Counts], Interval | None]] = {
    "auc": lambda value, counts: roc_area(value, counts.positives, counts.rows - counts.positives),
    "pr_auc": lambda value, counts: precision_recall_area(value, counts.positives),
    "average_precision": lambda value, counts: precision_recall_area(value, counts.positives),
}


def _on_logits(value: float, error: float) -> Interval:
    center = math.log(value / (1 - value))
    # Beyond 30 the logistic function is 0 or 1 in double precision.
    low, high = (1 / (1 + math.exp(-max(-30.0, min(30.0, center + sign * Z * error)))) for sign in (-1, 1))
    return Interval(low, high)
