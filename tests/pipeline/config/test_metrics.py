from typing import Any

import pytest
from metric_values import measure, metric_of
from numpy.typing import ArrayLike

from models.problem.problem import Task
from pipeline.config.metrics import ARGUMENTS, METRICS, each_class, find_metric, usages
from pipeline.config.metrics import COSTS as COST_METRICS

CLASSES = ("a", "b (or c)", "d/e")
EXPECTED: dict[Task, tuple[list[float], ArrayLike, dict[str, float]]] = {
    "binary": (
        [0, 1, 0, 1],
        [0.1, 0.9, 0.8, 0.6],
        {
            "auc": 0.75,
            "pr_auc": 0.7972,  # TFMA's interpolation, between 0.75 and 0.8333
            "average_precision": 0.8333,
            "accuracy": 0.75,
            "balanced_accuracy": 0.75,
            "mcc": 0.57735,
            "precision": 2 / 3,
            "precision(a)": 1.0,
            "recall": 1.0,
            "recall(a)": 0.5,
            "f1": 0.8,
            "f1(b (or c))": 0.8,
            "precision_macro": 5 / 6,
            "recall_macro": 0.75,
            "f1_macro": 0.73333,
            "precision_weighted": 5 / 6,
            "recall_weighted": 0.75,
            "f1_weighted": 0.73333,
            "calibration": 1.2,
            "loss": 0.58275,
            "log_loss": 0.58275,
            "brier": 0.205,
            "expected_cost": 0.75,
            "optimal_cost": 1.0,
            "example_count": 4,
        },
    ),
    "multiclass": (
        [1, 0, 1],
        [[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5]],
        {
            "accuracy": 2 / 3,
            "balanced_accuracy": 0.75,
            "mcc": 0.61237,
            "precision(b (or c))": 1.0,
            "precision(d/e)": 0.0,
            "recall(b (or c))": 0.5,
            "f1(b (or c))": 2 / 3,
            "precision_macro": 2 / 3,
            "recall_macro": 0.5,
            "f1_macro": 5 / 9,
            "precision_weighted": 1.0,
            "recall_weighted": 2 / 3,
            "f1_weighted": 7 / 9,
            "top_k_accuracy(2)": 1.0,
            "loss": 0.51083,
            "log_loss": 0.51083,
            "brier": 0.28667,
            "expected_cost": 5 / 3,
            "optimal_cost": 0.0,
            "example_count": 3,
        },
    ),
    "regression": (
        [1.0, 2.0, 4.0],
        [1.0, 2.0, 1.0],
        {
            "mse": 3.0,
            "rmse": 1.73205,
            "mae": 1.0,
            "mape": 25.0,
            "median_absolute_error": 0.0,
            "absolute_error_quantile(0.9)": 3.0,
            "r2": 1 - 27 / 14,
            "calibration": 4 / 7,
            "mean_label": 7 / 3,
            "mean_prediction": 4 / 3,
            "example_count": 3,
        },
    ),
}
COSTS: dict[Task, Any] = {"binary": [[0, 3], [1, 0]], "multiclass": [[0, 1, 1], [1, 0, 5], [1, 1, 0]]}


@pytest.mark.parametrize("task", EXPECTED)
def test_every_metric_measures_what_its_name_says(task: Task) -> None:
    labels, predictions, expected = EXPECTED[task]
    classes = {"binary": CLASSES[:2], "multiclass": CLASSES}.get(task, ())
    assert {name.partition("(")[0] for name in expected} == set(METRICS[task])
    metrics = [
        metric_of(task, name, classes, **({"costs": COSTS[task]} if name in COST_METRICS else {})) for name in expected
    ]
    found = measure(metrics, labels, predictions)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("task", EXPECTED)
def test_usages_name_every_metric_and_the_form_of_its_argument(task: Task) -> None:
    found = usages(task)
    assert {each.partition("(")[0] for each in found} == set(METRICS[task])
    assert {each.partition("(")[0] for each in found if "(" in each} == set(ARGUMENTS[task])


def test_a_star_stands_for_each_class() -> None:
    names = ["accuracy", "recall(*)", "f1(a)"]
    expected = ["accuracy", "recall(a)", "recall(b (or c))", "recall(d/e)", "f1(a)"]
    assert list(each_class("multiclass", names, CLASSES)) == expected
    assert list(each_class("regression", ["mse(*)"], ())) == ["mse(*)"]


@pytest.mark.parametrize(
    ("task", "name", "said"),
    [
        ("binary", "f2", "evaluation.metrics: unknown binary metric 'f2'; allowed: accuracy, auc"),
        ("binary", "auc(a)", "unknown binary metric 'auc(a)'"),
        ("multiclass", "recall", r"found 'recall'; expected recall(CLASS), with a class (a, b (or c), d/e)"),
        ("multiclass", "recall(c)", r"found 'recall(c)'; expected a class (a, b (or c), d/e)"),
        ("multiclass", "recall()", r"found 'recall()'; expected a class (a, b (or c), d/e)"),
        (
            "multiclass",
            "top_k_accuracy",
            "found 'top_k_accuracy'; expected top_k_accuracy(3), with a number of classes",
        ),
        ("multiclass", "top_k_accuracy(3)", "found 'top_k_accuracy(3)'; expected a number of classes below that"),
        ("multiclass", "top_k_accuracy(0)", "expected a number of classes below that of the label"),
        ("multiclass", "top_k_accuracy(x)", "expected a number of classes below that of the label"),
        ("regression", "absolute_error_quantile(90)", "expected a fraction between 0 and 1"),
        ("regression", "absolute_error_quantile(nan)", "expected a fraction between 0 and 1"),
        ("regression", "f1", "unknown regression metric 'f1'"),
    ],
)
def test_a_metric_that_does_not_exist_is_refused_in_one_line(task: Task, name: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^evaluation\.metrics: ") as caught:
        find_metric(task, name, CLASSES if task == "multiclass" else CLASSES[:2])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
