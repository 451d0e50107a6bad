"""Of many samples, the intervals hold the true value about as often as is said. Seeds and sizes were chosen once."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from metric_values import measure, metric_of
from scipy.stats import norm

from custom_components.batched_evaluator.class_statistics import (
    AVERAGES,
    LOWEST,
    MEASURES,
    Table,
    margins_of,
    measure_table,
    of_class,
)
from custom_components.batched_evaluator.row_means import Scale, sums_of
from models.problem.problem import Task

Values: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
SAMPLES = 200
FEWEST = 179  # of 95% of them, less 3.6 deviations
ROWS = 150
MATRIX = np.array([[0.5, 0.02, 0.02], [0.05, 0.18, 0.03], [0.03, 0.02, 0.15]])


def weights_of(random: np.random.Generator, weighted: bool) -> Values:
    return random.choice([0.5, 1.0, 2.0], ROWS) if weighted else np.ones(ROWS)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*AVERAGES, *MEASURES])
def test_class_metrics(name: str, weighted: bool) -> None:
    statistic = AVERAGES[name] if name in AVERAGES else of_class(MEASURES[name], 2)
    true = float(statistic(margins_of(MATRIX), margins_of(MATRIX)))
    random, held = np.random.default_rng(20), 0
    for _ in range(SAMPLES):
        cells, weights = random.choice(MATRIX.size, ROWS, p=MATRIX.ravel()), weights_of(random, weighted)
        sums = (np.bincount(cells, each, MATRIX.size).reshape(MATRIX.shape) for each in (weights, weights**2))
        _, interval = measure_table(Table(*sums), statistic, LOWEST.get(name, 0.0))
        assert interval
        held += interval.low <= true <= interval.high
    assert held >= FEWEST


MEANS: dict[str, tuple[Callable[[np.random.Generator], Values], float, Scale]] = {
    "accuracy": (lambda random: random.binomial(1, 0.9, ROWS).astype(float), 0.9, "fraction"),
    "squared error": (lambda random: random.normal(size=ROWS) ** 2, 1.0, "positive"),
    "absolute error": (lambda random: np.abs(random.laplace(size=ROWS)), 1.0, "positive"),
    "cost": (lambda random: random.choice([-1.0, 0.0, 4.0], ROWS, p=[0.2, 0.5, 0.3]), 1.0, "real"),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MEANS)
def test_means(name: str, weighted: bool) -> None:
    draw, true, scale = MEANS[name]
    random, held = np.random.default_rng(21), 0
    for _ in range(SAMPLES):
        low, high = sums_of(draw(random), weights_of(random, weighted)).interval(scale)
        held += low <= true <= high
    assert held >= FEWEST


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("task", "name", "true"),
    [
        ("regression", "rmse", 0.5),
        ("regression", "r2", 0.75),
        ("regression", "calibration", 1.0),
        ("regression", "mean_label", 5.0),
        ("regression", "median_absolute_error", 0.5 * norm.ppf(0.75)),
        ("regression", "absolute_error_quantile(0.9)", 0.5 * norm.ppf(0.95)),
    ],
)
def test_errors(task: Task, name: str, true: float, weighted: bool) -> None:
    metric, random, held = metric_of(task, name), np.random.default_rng(22), 0
    for _ in range(SAMPLES):
        labels = random.normal(5, 1, ROWS)
        predictions = labels + random.normal(0, 0.5, ROWS)
        found = measure([metric], labels, predictions, weights_of(random, weighted), batches=1)
        held += found[f"{name}/low"] <= true <= found[f"{name}/high"]
    assert held >= FEWEST


def test_a_perfect_model_is_as_uncertain_as_its_rows_are_few() -> None:
    few, many = (
        measure([metric_of("binary", "f1", ("a", "b"))], [0, 1] * count, [0.1, 0.9] * count)["f1/low"]
        for count in (5, 500)
    )
    assert few < 0.8
    assert 0.99 < many < 1


def test_equal_weights_make_no_difference() -> None:
    random = np.random.default_rng(23)
    labels, predictions = random.integers(0, 2, 60), random.uniform(size=60)
    names = ("accuracy", "f1", "f1_macro", "mcc", "brier", "loss")
    metrics = [metric_of("binary", name, ("a", "b")) for name in names]
    one, seven = (measure(metrics, labels, predictions, np.full(60, weight)) for weight in (1.0, 7.0))
    assert {name for name in one if name.endswith("/low")} == {f"{name}/low" for name in names}
    for name, value in one.items():
        if not name.startswith("_"):
            assert seven[name] == pytest.approx(value, rel=1e-9)
