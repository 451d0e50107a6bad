"""Compares metrics with scikit-learn's, with and without weights."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from metric_values import value_of
from sklearn import metrics as sklearn

from models.problem.problem import Task

Arrays = Any
CLASSES = ("a", "b", "c", "d")
COSTS = [[0.0, 1.0, 2.0, 4.0], [3.0, 0.0, 1.0, 1.0], [1.0, 7.0, -1.0, 2.0], [2.0, 2.0, 2.0, 0.5]]


def average(name: str, kind: str) -> Callable[..., float]:
    """scikit-learn's average over classes of precision, recall or F1."""

    def measured(labels: Arrays, found: Arrays, weights: Arrays) -> float:
        return float(getattr(sklearn, f"{name}_score")(labels, found, average=kind, sample_weight=weights))

    return measured


def per_class(name: str, index: int) -> Callable[..., float]:
    def measured(labels: Arrays, found: Arrays, weights: Arrays) -> float:
        function = getattr(sklearn, f"{name}_score")
        return float(function(labels, found, average=None, labels=[index], sample_weight=weights)[0])

    return measured


OF_CLASSES: dict[str, Callable[..., float]] = {
    "accuracy": lambda y, p, w: sklearn.accuracy_score(y, p, sample_weight=w),
    "balanced_accuracy": lambda y, p, w: sklearn.balanced_accuracy_score(y, p, sample_weight=w),
    "mcc": lambda y, p, w: sklearn.matthews_corrcoef(y, p, sample_weight=w),
    **{
        f"{name}_{kind}": average(name, kind)
        for name in ("precision", "recall", "f1")
        for kind in ("macro", "weighted")
    },
    **{f"{name}(b)": per_class(name, 1) for name in ("precision", "recall", "f1")},
}
BINARY: dict[str, Callable[..., float]] = {
    **{name: per_class(name, 1) for name in ("precision", "recall", "f1")},
    **{f"{name}(a)": per_class(name, 0) for name in ("precision", "recall", "f1")},
}
OF_PROBABILITIES: dict[str, Callable[..., float]] = {
    "average_precision": lambda y, p, w: sklearn.average_precision_score(y, p, sample_weight=w),
    "brier": lambda y, p, w: sklearn.brier_score_loss(y, p, sample_weight=w),
    "log_loss": lambda y, p, w: sklearn.log_loss(y, p.astype(np.float64), sample_weight=w),
}
REGRESSION: dict[str, Callable[..., float]] = {
    "mse": lambda y, p, w: sklearn.mean_squared_error(y, p, sample_weight=w),
    "rmse": lambda y, p, w: sklearn.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, w: sklearn.mean_absolute_error(y, p, sample_weight=w),
    "mape": lambda y, p, w: 100 * sklearn.mean_absolute_percentage_error(y, p, sample_weight=w),
    "median_absolute_error": lambda y, p, w: sklearn.median_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: sklearn.r2_score(y, p, sample_weight=w),
}


def drawn_weights(random: np.random.Generator, size: int, weighted: bool) -> Arrays:
    """Weights of rows, some of them 0, or ``None``."""
    return random.exponential(size=size) * (random.uniform(size=size) > 0.1) if weighted else None


def same(found: float, expected: float) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_several_classes(name: str, weighted: bool) -> None:
    random = np.random.default_rng(7)
    labels = random.choice(4, 301, p=[0.6, 0.25, 0.1, 0.05])
    predictions = random.dirichlet([1] * 4, 301) + 0.3 * np.eye(4)[labels]
    weights = drawn_weights(random, 301, weighted)
    expected = OF_CLASSES[name](labels, predictions.argmax(axis=1), weights)
    same(value_of("multiclass", name, labels, predictions, weights, classes=CLASSES), expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*OF_CLASSES, *BINARY])
def test_two_classes(name: str, weighted: bool) -> None:
    random = np.random.default_rng(8)
    labels = random.integers(0, 2, 200)
    predictions = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    weights = drawn_weights(random, 200, weighted)
    expected = (OF_CLASSES | BINARY)[name](labels, predictions > 0.5, weights)
    same(value_of("binary", name, labels, predictions, weights, classes=CLASSES[:2]), expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_probabilities_of_two_classes(name: str, weighted: bool) -> None:
    random = np.random.default_rng(9)
    labels = random.integers(0, 2, 200)
    # Many equal predictions, and many that TFMA's ten thousand buckets cannot tell apart.
    predictions = np.where(random.uniform(size=200) < 0.3, 0.25, random.beta(0.05, 2, 200)).astype(np.float32)
    predictions = np.clip(predictions, np.float32(1e-6), np.float32(1 - 1e-6))
    weights = drawn_weights(random, 200, weighted)
    expected = OF_PROBABILITIES[name](labels, predictions, weights)
    same(value_of("binary", name, labels, predictions, weights, classes=CLASSES[:2]), expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_accuracy(k: int, weighted: bool) -> None:
    random = np.random.default_rng(10)
    labels, weights = random.integers(0, 4, 150), drawn_weights(random, 150, weighted)
    predictions = random.choice(np.array([0.1, 0.2, 0.3], np.float32), (150, 4))  # with ties
    expected = sklearn.top_k_accuracy_score(labels, predictions, k=k, sample_weight=weights, labels=range(4))
    same(value_of("multiclass", f"top_k_accuracy({k})", labels, predictions, weights, classes=CLASSES), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_and_brier_score_of_several_classes(weighted: bool) -> None:
    random = np.random.default_rng(11)
    labels, weights = random.integers(0, 4, 150), drawn_weights(random, 150, weighted)
    predictions = random.dirichlet([1] * 4, 150).astype(np.float32)
    loss = sklearn.log_loss(labels, predictions.astype(np.float64), sample_weight=weights, labels=range(4))
    found = value_of("multiclass", "log_loss", labels, predictions, weights, classes=CLASSES)
    assert found == pytest.approx(loss, rel=1e-6)  # Keras takes logarithms in float32
    squares = np.square(np.eye(4)[labels] - predictions.astype(np.float64)).sum(axis=1)
    same(
        value_of("multiclass", "brier", labels, predictions, weights, classes=CLASSES),
        float(np.average(squares, weights=weights)),
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_expected_cost_is_that_of_the_confusion_matrix(weighted: bool) -> None:
    random = np.random.default_rng(12)
    labels, weights = random.integers(0, 4, 150), drawn_weights(random, 150, weighted)
    predictions = random.dirichlet([1] * 4, 150)
    matrix = sklearn.confusion_matrix(labels, predictions.argmax(axis=1), sample_weight=weights)
    found = value_of("multiclass", "expected_cost", labels, predictions, weights, classes=CLASSES, costs=COSTS)
    same(found, float((matrix * np.array(COSTS)).sum() / matrix.sum()))
    cheapest = (predictions.astype(np.float32).astype(np.float64) @ np.array(COSTS)).argmin(axis=1)
    matrix = sklearn.confusion_matrix(labels, cheapest, sample_weight=weights)
    found = value_of("multiclass", "optimal_cost", labels, predictions, weights, classes=CLASSES, costs=COSTS)
    same(found, float((matrix * np.array(COSTS)).sum() / matrix.sum()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression(name: str, offset: float, weighted: bool) -> None:
    random = np.random.default_rng(13)
    labels = (offset + random.lognormal(size=301)).astype(np.float32)
    predictions = (labels + random.normal(0, 0.5, 301)).astype(np.float32)
    weights = drawn_weights(random, 301, weighted)
    expected = REGRESSION[name](labels.astype(np.float64), predictions.astype(np.float64), weights)
    found = value_of("regression", name, labels, predictions, weights)
    assert found == pytest.approx(expected, rel=1e-7 if offset else 1e-9)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_quantiles_of_the_absolute_error(fraction: float) -> None:
    random = np.random.default_rng(14)
    labels, errors = random.normal(size=240), random.normal(size=240).astype(np.float32)
    predictions = (labels + errors).astype(np.float32)
    sizes = np.abs(labels - predictions.astype(np.float64))
    found = value_of("regression", f"absolute_error_quantile({fraction})", labels, predictions)
    same(found, float(np.quantile(sizes, fraction, method="averaged_inverted_cdf")))
    weights = random.integers(1, 5, 240).astype(float)
    found = value_of("regression", f"absolute_error_quantile({fraction})", labels, predictions, weights)
    repeated = np.repeat(sizes, weights.astype(int))
    same(found, float(np.quantile(repeated, fraction, method="averaged_inverted_cdf")))


def test_classes_without_rows_count_like_scikit_learns() -> None:
    """One class has no row, one is never predicted, and one has neither."""
    labels, found = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 0, 0, 2])
    predictions = np.eye(4)[found]
    task: Task = "multiclass"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (each for each in OF_CLASSES if "(" not in each):
            expected = OF_CLASSES[name](labels, found, None)
            same(value_of(task, name, labels, predictions, classes=CLASSES), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_areas_are_close_to_the_exact_ones(weighted: bool) -> None:
    """TFMA's, of ten thousand buckets of predictions."""
    random = np.random.default_rng(15)
    labels = random.integers(0, 2, 2000)
    predictions = np.clip(random.normal(0.4 + 0.2 * labels, 0.15), 0, 1).astype(np.float32)
    weights = drawn_weights(random, 2000, weighted)
    area = sklearn.roc_auc_score(labels, predictions, sample_weight=weights)
    assert value_of("binary", "auc", labels, predictions, weights) == pytest.approx(area, abs=1e-4)
    precision, recall, _ = sklearn.precision_recall_curve(labels, predictions, sample_weight=weights)
    area = sklearn.auc(recall, precision)
    assert value_of("binary", "pr_auc", labels, predictions, weights) == pytest.approx(area, abs=1e-3)
