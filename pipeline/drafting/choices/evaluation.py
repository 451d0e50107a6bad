"""Chooses metrics, slices and thresholds."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from models.features import Task
from pipeline.drafting.choices.features import Choice
from pipeline.drafting.choices.target import Target

METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "pr_auc", "accuracy", "precision", "recall", "calibration", "loss", "example_count"),
    "multiclass": ("accuracy", "loss", "example_count"),
    "regression": ("mse", "mae", "mean_label", "mean_prediction", "example_count"),
}
MARGIN = 0.02  # by which a model has to be better than the trivial one
SLICED_VALUES = 10  # values of a column that is sliced by
SLICES = 2


@dataclasses.dataclass(frozen=True)
class Bound:
    """A threshold.

    Attributes:
        metric: The metric.
        bounds: Its bounds, by key.
        reason: Why, in a few words.
    """

    metric: str
    bounds: dict[str, float]
    reason: str


def choose_thresholds(target: Target, eval_rows: int) -> list[Bound]:
    """A bound that the trivial model does not meet, and one on the change from the last model."""
    tolerance = round(max(0.01, 1 / math.sqrt(max(eval_rows, 1)) / 2), 3)
    change = f"compared with the latest blessed model; {eval_rows:,} eval rows vary by chance"
    match target.task:
        case "binary":
            first = Bound("auc", {"min": 0.5 + MARGIN}, "0.5 is guessing")
            return [first, Bound("auc", {"min_change": -tolerance}, change)]
        case "multiclass":
            shares = np.array(list(target.classes.values())) / sum(target.classes.values())
            entropy = -float((shares * np.log(shares)).sum())
            reason = f"{entropy:.4g} is always predicting the shares of the classes"
            first = Bound("loss", {"max": _shortened(entropy * (1 - MARGIN))}, reason)
            return [first, Bound("accuracy", {"min_change": -tolerance}, change)]
    variance = float(np.nanvar(target.column.numbers))
    first = Bound("mse", {"max": _shortened(variance * (1 - MARGIN))}, f"{variance:.4g} is always predicting the mean")
    return [first, Bound("mse", {"max_change": _shortened(variance * tolerance)}, change)]


def choose_slices(choices: Iterable[Choice]) -> list[str]:
    """Columns of few values, by which errors are shown."""
    found = [
        choice.column
        for choice in choices
        if choice.use == "feature" and choice.column.form == "category" and choice.column.values is not None
    ]
    few = [column for column in found if column.is_exact and column.distinct <= SLICED_VALUES]
    return [column.name for column in few[:SLICES]]


def _shortened(number: float) -> float:
    return float(f"{number:.4g}")
