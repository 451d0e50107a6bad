"""95% intervals of metrics, in closed form from counts.

Resampling (TFMA's jackknife) would compute every metric twenty times. The counts are enough to show whether a slice is
too small to draw conclusions from.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

Z = 1.959964  # two-sided 95% of the normal distribution


class Interval(NamedTuple):
    """Bounds of a 95% interval."""

    low: float
    high: float


class Counts(NamedTuple):
    """Counts of a slice for the intervals of a binary classifier's metrics.

    Attributes:
        rows: Number of rows.
        positives: Number of rows of class 1.
        predicted_positives: Number of rows whose prediction is at least 0.5.
        label_variance: Variance of the sum of the labels, given the predictions: the sum of p (1 - p) over the rows.
    """

    rows: float
    positives: float
    predicted_positives: float
    label_variance: float


def wilson(fraction: float, rows: float) -> Interval | None:
    """Interval of a fraction of rows: Wilson, Journal of the American Statistical Association 22 (1927).

    >>> low, high = wilson(0.8, 5)
    >>> round(low, 3), round(high, 3)
    (0.376, 0.964)
    """
    if rows <= 0 or not 0 <= fraction <= 1:
        return None
    center = (fraction + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half = Z * math.sqrt(fraction * (1 - fraction) / rows + Z**2 / (4 * rows**2)) / (1 + Z**2 / rows)
    return Interval(max(0.0, center - half), min(1.0, center + half))


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


def calibration_ratio(ratio: float, positives: float, label_variance: float) -> Interval | None:
    """Interval of mean prediction over mean label: the delta method, with the label variance given the predictions."""
    if positives < 1 or not math.isfinite(ratio):
        return None
    half = Z * ratio * math.sqrt(label_variance) / positives
    return Interval(max(0.0, ratio - half), ratio + half)


def mean_absolute_error(mean: float, mean_square: float, rows: float) -> Interval | None:
    """Interval of a mean absolute error, whose variance is the mean squared error minus the square of the mean."""
    if rows < 2 or not (math.isfinite(mean) and math.isfinite(mean_square)):
        return None
    half = Z * math.sqrt(max(mean_square - mean**2, 0.0) / (rows - 1))
    return Interval(max(0.0, mean - half), mean + half)


# By name of the metric in the settings: the intervals that follow from the counts of a binary classifier.
BINARY: dict[str, Callable[[float, Counts], Interval | None]] = {
    "auc": lambda value, counts: roc_area(value, counts.positives, counts.rows - counts.positives),
    "pr_auc": lambda value, counts: precision_recall_area(value, counts.positives),
    "accuracy": lambda value, counts: wilson(value, counts.rows),
    "precision": lambda value, counts: wilson(value, counts.predicted_positives),
    "recall": lambda value, counts: wilson(value, counts.positives),
    "calibration": lambda value, counts: calibration_ratio(value, counts.positives, counts.label_variance),
}


def _on_logits(value: float, error: float) -> Interval:
    center = math.log(value / (1 - value))
    # Beyond 30 the logistic function is 0 or 1 in double precision.
    low, high = (1 / (1 + math.exp(-max(-30.0, min(30.0, center + sign * Z * error)))) for sign in (-1, 1))
    return Interval(low, high)
