"""Metrics of predictions, for many resamples of the same rows at once.

The Evaluator computes a metric once per slice and model. Here each is computed for hundreds of resamples per training,
as a product with the weights of the rows in each resample, [resamples, rows].
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
# Labels [rows], predictions [rows, width] and weights [resamples, rows] to a value per resample.
Compute: TypeAlias = Callable[[Array, Array, Array], Array]
SMALLEST = 1e-7  # probability in a loss, as in Keras


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: Its name in the settings.
        higher_is_better: Whether it is better when larger.
        perfect: Its value for perfect predictions.
        compute: Computes it.
    """

    name: str
    higher_is_better: bool
    perfect: float
    compute: Compute

    @property
    def sign(self) -> int:
        """What a difference is multiplied with so that positive is better."""
        return 1 if self.higher_is_better else -1


def _mean(values: Callable[[Array, Array], Array]) -> Compute:
    """The weighted mean of a number per row. Rows with NaN are skipped."""

    def compute(labels: Array, predictions: Array, weights: Array) -> Array:
        found = values(labels, predictions)
        known = ~np.isnan(found)
        return _divide(weights[:, known] @ found[known], weights[:, known].sum(axis=1))

    return compute


def _auc(labels: Array, predictions: Array, weights: Array) -> Array:
    """The probability that a row of class 1 has a higher prediction than one of class 0. Equal ones count half."""
    positives, negatives = _by_prediction(labels, predictions, weights)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return _divide((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def _average_precision(labels: Array, predictions: Array, weights: Array) -> Array:
    """The area under the precision-recall curve, as a sum of precision times the increase of recall."""
    positives, negatives = (each[:, ::-1] for each in _by_prediction(labels, predictions, weights))
    found = np.cumsum(positives, axis=1)
    precision = _divide(found, found + np.cumsum(negatives, axis=1))
    return _divide((precision * positives).sum(axis=1), positives.sum(axis=1))


def _by_prediction(labels: Array, predictions: Array, weights: Array) -> tuple[Array, Array]:
    """Sums of the weights of classes 1 and 0, [resamples, distinct predictions], by increasing prediction."""
    scores = predictions[:, 0]
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered, positive = weights[:, order], labels[order] > 0
    return (
        np.add.reduceat(ordered * positive, starts, axis=1),
        np.add.reduceat(ordered * ~positive, starts, axis=1),
    )


def _f1(labels: Array, predictions: Array, weights: Array) -> Array:
    found, positive = predictions[:, 0] > 0.5, labels > 0
    hits = weights @ (found & positive)
    return _divide(2 * hits, weights @ found + weights @ positive, undefined=0.0)


def _balanced_accuracy(labels: Array, predictions: Array, weights: Array) -> Array:
    """The mean over the classes of the fraction of their rows with the right prediction."""
    predicted = _classes(predictions)
    right, recalls = (predicted == labels).astype(np.float64), []
    for each in np.unique(labels):
        of_class = (labels == each).astype(np.float64)
        recalls.append(_divide(weights @ (right * of_class), weights @ of_class))
    return np.nanmean(recalls, axis=0)


def _r2(labels: Array, predictions: Array, weights: Array) -> Array:
    total = weights.sum(axis=1)
    center = (weights @ labels / total)[:, None]
    squares = (weights * (labels - center) ** 2).sum(axis=1)
    return 1 - _divide(weights @ np.square(labels - predictions[:, 0]), squares)


def _classes(predictions: Array) -> npt.NDArray[np.int64]:
    if predictions.shape[1] == 1:
        return (predictions[:, 0] > 0.5).astype(np.int64)
    return predictions.argmax(axis=1)


def _accuracy(labels: Array, predictions: Array) -> Array:
    return (_classes(predictions) == labels).astype(np.float64)


def _loss(labels: Array, predictions: Array) -> Array:
    places = labels.astype(np.int64)
    classes = predictions if predictions.shape[1] > 1 else np.hstack([1 - predictions, predictions])
    return -np.log(np.clip(classes[np.arange(len(places)), places], SMALLEST, 1.0))


def _absolute(labels: Array, predictions: Array) -> Array:
    return np.abs(labels - predictions[:, 0])


def _squared(labels: Array, predictions: Array) -> Array:
    return np.square(labels - predictions[:, 0])


def _percentage(labels: Array, predictions: Array) -> Array:
    return 100 * _absolute(labels, predictions) / np.abs(np.where(labels == 0, np.nan, labels))


def _root_mean_squared(labels: Array, predictions: Array, weights: Array) -> Array:
    return np.sqrt(_mean(_squared)(labels, predictions, weights))


def _divide(numerator: Array, denominator: Array, undefined: float = np.nan) -> Array:
    filled = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), undefined)
    return np.divide(numerator, denominator, out=filled, where=denominator > 0)


_CLASSES = (
    Metric("accuracy", True, 1.0, _mean(_accuracy)),
    Metric("balanced_accuracy", True, 1.0, _balanced_accuracy),
    Metric("loss", False, 0.0, _mean(_loss)),
)
# By task: the metrics that can be measured, the main one first.
METRICS: Mapping[str, Mapping[str, Metric]] = {
    task: {each.name: each for each in metrics}
    for task, metrics in {
        "binary": (
            Metric("auc", True, 1.0, _auc),
            Metric("pr_auc", True, 1.0, _average_precision),
            Metric("f1", True, 1.0, _f1),
            *_CLASSES,
        ),
        "multiclass": _CLASSES,
        "regression": (
            Metric("mse", False, 0.0, _mean(_squared)),
            Metric("rmse", False, 0.0, _root_mean_squared),
            Metric("mae", False, 0.0, _mean(_absolute)),
            Metric("mape", False, 0.0, _mean(_percentage)),
            Metric("r2", True, 1.0, _r2),
        ),
    }.items()
}


def choose_metric(task: str, wanted: list[str]) -> Metric:
    """The first of the wanted metrics that can be measured, or else the main one of the task."""
    known = METRICS[task]
    return next((known[name] for name in wanted if name in known), next(iter(known.values())))
