"""Metrics of rows for which they are not defined."""

import math
from typing import Any

import numpy as np
import pytest
from metric_values import measure, metric_of, value_of

from models.problem.problem import Task
from pipeline.config.metrics import COSTS, METRICS, each_class

CLASSES: dict[Task, tuple[str, ...]] = {"binary": ("a", "b"), "multiclass": ("a", "b", "c"), "regression": ()}
ARGUMENTS = {"top_k_accuracy": "top_k_accuracy(2)", "absolute_error_quantile": "absolute_error_quantile(0.9)"}


def every_metric(task: Task, labels: Any, predictions: Any, weights: Any = None) -> dict[str, float]:
    """All metrics of a task, of one class where they are of a class, with the bounds of their intervals."""
    classes, metrics = CLASSES[task], []
    for name in METRICS[task]:
        several = [f"{name}(*)"] if name in ("precision", "recall", "f1") else [ARGUMENTS.get(name, name)]
        costs = {"costs": np.ones((len(classes), len(classes))).tolist()} if name in COSTS else {}
        metrics += [metric_of(task, each, classes, **costs) for each in each_class(task, several, classes)]
    return measure(metrics, labels, predictions, weights)


def undefined(found: dict[str, float]) -> set[str]:
    names = {name for name in found if not name.startswith("_") and "/" not in name}
    missing = {name for name in names if math.isnan(found[name])}
    for name in missing:  # has no interval either
        assert all(math.isnan(found.get(f"{name}/{bound}", math.nan)) for bound in ("low", "high"))
    return missing


def test_rows_of_one_of_two_classes() -> None:
    areas = {"auc", "pr_auc", "balanced_accuracy", "mcc"}
    found = every_metric("binary", [0, 0, 0], [0.1, 0.2, 0.7])
    assert undefined(found) == {*areas, "average_precision", "recall(b)", "calibration"}
    assert (found["precision(b)"], found["f1(b)"]) == (0, 0)
    found = every_metric("binary", [0, 0, 0], [0.1, 0.2, 0.3])  # no row is predicted to be of class b
    assert undefined(found) == {
        *areas, "average_precision", "precision(b)", "recall(b)", "f1(b)", "calibration"
    }  # fmt: skip
    assert undefined(every_metric("binary", [1, 1], [0.9, 0.8])) == {*areas, "precision(a)", "recall(a)", "f1(a)"}


def test_rows_of_some_of_several_classes() -> None:
    predictions = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]]
    found = every_metric("multiclass", [0, 1, 1], predictions)
    assert undefined(found) == {"precision(c)", "recall(c)", "f1(c)"}
    found = every_metric("multiclass", [1, 1, 1], predictions)
    assert undefined(found) == {
        "balanced_accuracy", "mcc", "recall(a)", "precision(c)", "recall(c)", "f1(c)"
    }  # fmt: skip


def test_one_class_predicted_for_all_rows_has_no_correlation() -> None:
    found = every_metric("binary", [0, 1, 1], [0.7, 0.8, 0.9])
    assert (found["mcc"], found["balanced_accuracy"]) == (0, 0.5)


@pytest.mark.parametrize("label", [0.1, 1e9 + 7, -3])
def test_labels_that_are_all_the_same(label: float) -> None:
    found = every_metric("regression", np.full(70, label, np.float32), np.linspace(label - 1, label + 1, 70))
    assert undefined(found) == {"r2"}


def test_labels_of_zero() -> None:
    found = every_metric("regression", [0, 0, 0], [1, 2, 3])
    assert undefined(found) == {"r2", "mape", "calibration"}


@pytest.mark.parametrize("task", METRICS)
def test_rows_without_weight(task: Task) -> None:
    predictions = {"binary": [0.1, 0.9], "multiclass": [[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], "regression": [1, 2]}[task]
    found = every_metric(task, [0, 1], predictions, [0, 0])
    names = {name for name in found if not name.startswith("_") and "/" not in name}
    assert undefined(found) == names - {"example_count"}
    assert found["example_count"] == 0


@pytest.mark.parametrize("task", METRICS)
def test_one_row(task: Task) -> None:
    """Its metrics have no interval, or one that says little."""
    predictions = {"binary": [0.9], "multiclass": [[0.1, 0.1, 0.8]], "regression": [1.5]}[task]
    found = every_metric(task, [1], predictions)
    intervals = {name for name, value in found.items() if name.endswith("/low") and not math.isnan(value)}
    assert intervals <= {"accuracy/low", "top_k_accuracy(2)/low"}


def test_labels_of_unknown_classes_are_wrong_and_of_no_class() -> None:
    labels, predictions, classes = [-1, 0, 1], [[0.8, 0.1, 0.1]] * 3, CLASSES["multiclass"]
    assert value_of("multiclass", "accuracy", labels, predictions, classes=classes) == pytest.approx(1 / 3)
    assert value_of("multiclass", "top_k_accuracy(2)", labels, predictions, classes=classes) == pytest.approx(1 / 3)
    assert value_of("multiclass", "precision(a)", labels, predictions, classes=classes) == 0.5
    costs = [[0.0, 1, 1], [7, 1, 1], [1, 1, 1]]
    assert value_of("multiclass", "expected_cost", labels, predictions, classes=classes, costs=costs) == 3.5
