"""95 % intervals of metrics, in closed form from counts.

Resampling (TFMA's jackknife) would compute every metric twenty times; what a page needs is whether a slice is too small
to say anything, and that the counts tell.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

Z = 1.959964  # two-sided 95 % of the normal distribution


class Interval(NamedTuple):
    """Bounds of a 95 % interval."""

    low: float
    high: float


class Counts(NamedTuple):
    """What the intervals of a binary classifier's metrics need of a slice.

    Attributes:
        rows: All rows.
        positives: Rows of class 1.
        called: Rows whose prediction is at least one half.
        spread: Variance of the sum of the labels if they fall as predicted: the sum of p (1 - p) over the rows.
    """

    rows: float
    positives: float
    called: float
    spread: float


def wilson(share: float, rows: float) -> Interval | None:
    """Of a share of so many rows: Wilson, Journal of the American Statistical Association 22 (1927)."""
    if rows <= 0 or not 0 <= share <= 1:
        return None
    centre = (share + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half = Z * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2)) / (1 + Z**2 / rows)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def roc_area(area: float, positives: float, negatives: float) -> Interval | None:
    """Of the area under a ROC curve: Hanley and McNeil, Radiology 143 (1982), on the logit's scale."""
    if positives < 1 or negatives < 1 or not 0 < area < 1:
        return None
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (above - area**2) + (negatives - 1) * (below - area**2)
    return _on_logits(area, math.sqrt(max(variance, 0.0) / (positives * negatives)) / (area * (1 - area)))


def precision_recall_area(area: float, positives: float) -> Interval | None:
    """Of the area under a precision-recall curve: Boyd, Eng and Page, ECML PKDD (2013), the logit interval."""
    if positives < 1 or not 0 < area < 1:
        return None
    return _on_logits(area, 1 / math.sqrt(positives * area * (1 - area)))


def ratio_to_labels(ratio: float, positives: float, spread: float) -> Interval | None:
    """Of mean prediction over mean label: the delta method, with labels that fall as predicted."""
    if positives < 1 or not math.isfinite(ratio):
        return None
    half = Z * ratio * math.sqrt(spread) / positives
    return Interval(max(0.0, ratio - half), ratio + half)


def mean_of_sizes(mean: float, mean_square: float, rows: float) -> Interval | None:
    """Of a mean absolute error: its variance is the mean squared error less its own square."""
    if rows < 2 or not (math.isfinite(mean) and math.isfinite(mean_square)):
        return None
    half = Z * math.sqrt(max(mean_square - mean**2, 0.0) / (rows - 1))
    return Interval(max(0.0, mean - half), mean + half)


# By the name that the settings give a metric, as far as counts of a binary classifier tell its interval.
BINARY: dict[str, Callable[[float, Counts], Interval | None]] = {
    "auc": lambda value, counts: roc_area(value, counts.positives, counts.rows - counts.positives),
    "pr_auc": lambda value, counts: precision_recall_area(value, counts.positives),
    "accuracy": lambda value, counts: wilson(value, counts.rows),
    "precision": lambda value, counts: wilson(value, counts.called),
    "recall": lambda value, counts: wilson(value, counts.positives),
    "calibration": lambda value, counts: ratio_to_labels(value, counts.positives, counts.spread),
}


def _on_logits(value: float, error: float) -> Interval:
    centre = math.log(value / (1 - value))
    # Beyond 30 the logistic function is 0 or 1 to the last bit.
    low, high = (1 / (1 + math.exp(-max(-30.0, min(30.0, centre + sign * Z * error)))) for sign in (-1, 1))
    return Interval(low, high)
