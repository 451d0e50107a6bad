"""Metrics of classes from the matrix of actual and predicted classes, and their intervals."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from common.intervals import Interval, wilson

GUESSES = 1.0  # rows of each class
STEP = 1e-6  # relative, of the derivatives


class Table(NamedTuple):
    """Rows by actual and predicted class.

    Attributes:
        weights: float64 [C, C]: ``weights[actual, predicted]``, the sum of the rows' weights.
        squares: float64 [C, C]: the sum of the squares of their weights.
    """

    weights: np.ndarray
    squares: np.ndarray


class Margins(NamedTuple):
    """Sums of a table, float64 [..., C]. All metrics of this module depend only on them.

    Attributes:
        correct: Rows of each class that are predicted to be of it.
        actual: Rows of each class.
        predicted: Rows that are predicted to be of each class.
    """

    correct: np.ndarray
    actual: np.ndarray
    predicted: np.ndarray


# A function of the margins, and of those of the observed table, which say which classes have rows.
Statistic = Callable[[Margins, Margins], np.ndarray]
Measure = Callable[[Margins], np.ndarray]


def margins_of(weights: np.ndarray) -> Margins:
    """The margins of a matrix [C, C]."""
    return Margins(np.diagonal(weights).copy(), weights.sum(axis=1), weights.sum(axis=0))


def precision(margins: Margins) -> np.ndarray:
    """Fraction of the rows predicted to be of a class that are, or NaN if there are none."""
    return _ratio(margins.correct, margins.predicted)


def recall(margins: Margins) -> np.ndarray:
    """Fraction of the rows of a class that are predicted to be of it, or NaN if there are none."""
    return _ratio(margins.correct, margins.actual)


def f1(margins: Margins) -> np.ndarray:
    """Harmonic mean of precision and recall of a class, or NaN if no row is of it or predicted to be."""
    return _ratio(2 * margins.correct, margins.actual + margins.predicted)


MEASURES: dict[str, Measure] = {"precision": precision, "recall": recall, "f1": f1}


def of_class(measure: Measure, index: int) -> Statistic:
    """The measure of one class."""
    return lambda margins, _observed: measure(margins)[..., index]


def macro(measure: Measure) -> Statistic:
    """The mean over classes that have rows or are predicted. As in scikit-learn, an undefined measure counts as 0."""

    def statistic(margins: Margins, observed: Margins) -> np.ndarray:
        return _mean(np.nan_to_num(measure(margins)), _seen(observed))

    return statistic


def weighted(measure: Measure) -> Statistic:
    """The mean over classes, weighted by their rows. As in scikit-learn, an undefined measure counts as 0."""

    def statistic(margins: Margins, _observed: Margins) -> np.ndarray:
        values = np.nan_to_num(measure(margins))
        return _ratio((values * margins.actual).sum(axis=-1), margins.actual.sum(axis=-1))

    return statistic


def balanced_accuracy(margins: Margins, observed: Margins) -> np.ndarray:
    """The mean recall over classes that have rows, or NaN if fewer than two have."""
    classes = observed.actual > 0
    found = _mean(np.nan_to_num(recall(margins)), classes)
    return found if classes.sum() > 1 else np.full_like(found, np.nan)


def matthews(margins: Margins, observed: Margins) -> np.ndarray:
    """The correlation of actual and predicted class, after Gorodkin, Computational Biology and Chemistry 28 (2004).

    It is 0 if all rows are predicted to be of one class, and NaN if they all are of one.
    """
    total = margins.actual.sum(axis=-1)
    shared = margins.correct.sum(axis=-1) * total - (margins.actual * margins.predicted).sum(axis=-1)
    actual, predicted = (total**2 - np.square(each).sum(axis=-1) for each in (margins.actual, margins.predicted))
    product = np.maximum(actual, 0) * np.maximum(predicted, 0)
    found = np.where(product > 0, shared / np.sqrt(np.where(product > 0, product, 1)), 0)
    return found if (observed.actual > 0).sum() > 1 else np.full_like(found, np.nan)


AVERAGES: dict[str, Statistic] = {
    **{f"{name}_macro": macro(measure) for name, measure in MEASURES.items()},
    **{f"{name}_weighted": weighted(measure) for name, measure in MEASURES.items()},
    "balanced_accuracy": balanced_accuracy,
    "mcc": matthews,
}
LOWEST = {"mcc": -1.0}  # of the values that a metric can have, otherwise 0. The highest is 1.


def measure_table(table: Table, statistic: Statistic, lowest: float = 0.0) -> tuple[float, Interval | None]:
    """A metric of a table and its 95% interval.

    The interval is Wilson's, with Student's quantile, for the number of rows that would give a fraction the variance of
    the metric. That comes from the delta method: the weights of the rows times the derivatives of the metric. So that a
    perfect model has an interval, too, the variance is that of a model which guesses one row of each class.

    Args:
        table: The rows.
        statistic: The metric, which must not change if all weights are multiplied by a number.
        lowest: The lowest value that it can have.
    """
    if not table.weights.sum() > 0:
        return float("nan"), None
    observed = margins_of(table.weights)
    value = float(statistic(observed, observed))
    if not np.isfinite(value):
        return value, None
    rows = float(table.weights.sum() ** 2 / table.squares.sum())
    if rows < 2:
        return value, None
    guessed = _with_guesses(table, _seen(observed))
    margins = margins_of(guessed.weights)
    correct, actual, predicted = _derivatives(statistic, margins, observed)
    derivatives = actual[:, np.newaxis] + predicted + np.diag(correct)
    scale = 1 - lowest
    variance = float((guessed.squares * derivatives**2).sum()) / scale**2 * rows / (rows - 1)
    center = (float(statistic(margins, observed)) - lowest) / scale
    if not (variance > 0 and 0 < center < 1):
        return value, None
    found = wilson((value - lowest) / scale, center * (1 - center) / variance, float(stdtrit(rows - 1, 0.975)))
    return value, Interval(*(lowest + scale * bound for bound in found)) if found else None


def _with_guesses(table: Table, seen: np.ndarray) -> Table:
    """The table of a model that guesses ``GUESSES`` rows of each class."""
    weights, squares = (each.sum(axis=1) for each in table)
    rows = np.divide(weights**2, squares, out=np.zeros_like(weights), where=squares > 0)
    guessed = (GUESSES / (rows + GUESSES))[:, np.newaxis]
    by_chance = seen / seen.sum()
    return Table(*((1 - guessed) * each + guessed * each.sum(axis=1, keepdims=True) * by_chance for each in table))


def _derivatives(statistic: Statistic, margins: Margins, observed: Margins) -> np.ndarray:
    """Derivatives by each of the margins, float64 [3, C], from central differences."""
    place = np.stack(margins)
    steps = np.where(place > 0, STEP * place, 1.0)
    moves = steps.ravel()[:, np.newaxis, np.newaxis] * np.eye(place.size).reshape(place.size, *place.shape)
    above, below = (statistic(Margins(*np.moveaxis(place + sign * moves, 1, 0)), observed) for sign in (1, -1))
    return ((above - below) / (2 * steps.ravel())).reshape(place.shape)


def _seen(observed: Margins) -> np.ndarray:
    return observed.actual + observed.predicted > 0


def _mean(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return _ratio((values * classes).sum(axis=-1), np.asarray(classes.sum(), np.float64))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)
