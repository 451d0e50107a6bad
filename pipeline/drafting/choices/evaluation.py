"""Chooses metrics, slices and thresholds."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from models.problem.problem import Task
from pipeline.drafting.choices.features import Choice
from pipeline.drafting.choices.target import Target

METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "accuracy", "f1", "loss", "precision", "recall", "pr_auc", "calibration", "example_count"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "loss", "example_count"),
    "regression": ("rmse", "mae", "r2", "mse", "mean_label", "mean_prediction", "example_count"),
}
IMBALANCED = ("auc", "pr_auc", "f1", "recall", "precision", "balanced_accuracy", "mcc", "calibration", "example_count")
RARE_SHARE = 0.2  # of the rows, below which the accuracy says little about a class
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


def choose_metrics(target: Target) -> tuple[tuple[str, ...], str]:
    """The metrics, the most telling ones first, and the reason, in a few words, or an empty one."""
    shares = [count / sum(target.classes.values()) for count in target.classes.values()]
    if target.task == "binary" and min(shares) < RARE_SHARE:
        return IMBALANCED, f"{min(shares):.0%} of the rows are of one class, so accuracy says little"
    return METRICS[target.task], ""


def choose_thresholds(target: Target, eval_rows: int, by_time: bool) -> list[Bound]:
    """A bound that a model without features does not meet, and one on the change from the latest blessed model.

    Args:
        target: The label.
        eval_rows: Number of rows of the eval split.
        by_time: Whether the eval rows are later than the others.
    """
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
    last = " or the last known values" if by_time else ""
    if target.log:  # the network learns the median of the label, not the mean
        error = float(np.nanmean(np.abs(numbers - np.nanmedian(numbers))))
        first = Bound("mae", better, f"gain over predicting the median{last}, as a fraction of that error")
        return [first, Bound("mae", {"max_change": float(f"{error * by_chance:.4g}")}, change)]
    error = float(np.nanvar(numbers))
    first = Bound("mse", better, f"gain over predicting the mean{last}, as a fraction of that error")
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
