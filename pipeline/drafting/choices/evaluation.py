"""Chooses metrics, slices and thresholds."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from models.problem.problem import Task
from pipeline.drafting.choices.features import Choice
from pipeline.drafting.choices.target import Target

METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "pr_auc", "accuracy", "precision", "recall", "calibration", "loss", "example_count"),
    "multiclass": ("accuracy", "loss", "example_count"),
    "regression": ("mse", "mae", "mean_label", "mean_prediction", "example_count"),
}
BETTER = "better_than_trivial"
MARGIN, SMALL_TABLE_MARGIN = 0.02, 0.05  # by which a model has to be better than the trivial one
MANY_ROWS = 1_000  # in the eval split, for the smaller margin
SLICED_VALUES = 10  # of a column to slice by, at most
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


def choose_thresholds(target: Target, eval_rows: int, by_time: bool = False) -> list[Bound]:
    """A bound that a model without features does not meet, and one on the change from the latest blessed model."""
    of = " of the newest rows before them" if by_time else ""
    margin = MARGIN if eval_rows >= MANY_ROWS else SMALL_TABLE_MARGIN
    better = {BETTER: margin}
    by_chance = round(max(0.01, 0.5 / math.sqrt(max(eval_rows, 1))), 3)
    change = f"change from the latest blessed model, with room for chance on {eval_rows:,} eval rows"
    match target.task:
        case "binary":
            first = Bound("auc", better, f"at least {0.5 + margin:g}, where 0.5 is guessing")
            return [first, Bound("auc", {"min_change": -by_chance}, change)]
        case "multiclass":
            first = Bound("loss", better, "gain over predicting the class frequencies, as a fraction of that loss")
            return [first, Bound("accuracy", {"min_change": -by_chance}, change)]
    numbers = target.column.numbers
    if target.log:  # the network learns the median of the label, not the mean
        error = float(np.nanmean(np.abs(numbers - np.nanmedian(numbers))))
        first = Bound("mae", better, f"gain over predicting the median{of}, as a fraction of that error")
        return [first, Bound("mae", {"max_change": float(f"{error * by_chance:.4g}")}, change)]
    error = float(np.nanvar(numbers))
    first = Bound("mse", better, f"gain over predicting the mean{of}, as a fraction of that error")
    return [first, Bound("mse", {"max_change": float(f"{error * by_chance:.4g}")}, change)]


def choose_slices(choices: Iterable[Choice]) -> list[str]:
    """Columns with few values, by which metrics are sliced."""
    found = [
        choice.column
        for choice in choices
        if choice.use == "feature" and choice.column.form == "category" and choice.column.values is not None
    ]
    few = [column for column in found if column.is_exact and column.distinct <= SLICED_VALUES]
    return [column.name for column in few[:SLICES]]
