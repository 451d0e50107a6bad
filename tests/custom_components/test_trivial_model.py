import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from metric_values import measure, metric_of
from small_table import MULTICLASS, raw_rows, small_table, write_raw

from artifacts.metric_kinds import has_trivial, kind_of
from common.project import ROOT
from custom_components.batched_evaluator.trivial_metrics import BatchedGain
from custom_components.batched_evaluator.trivial_model import (
    LabeledRows,
    TrivialModel,
    best_constants,
    fit_trivial,
    latest_rows,
    read_labels,
    settings_of,
    weighted_median,
    with_predictions,
)
from custom_components.batched_evaluator.trivial_settings import TrivialSettings, gain_name
from models.problem.problem import Task
from pipeline.config.loading import load_config
from pipeline.config.metrics import ARGUMENTS, METRICS, find_metric
from pipeline.config.metrics import COSTS as COST_METRICS
from pipeline.eval_config import eval_config

LABELS: dict[Task, list[float]] = {
    "binary": [1, 0, 0, 1, 0, 1],
    "multiclass": [2, 0, 0, 1, 0, 2],
    "regression": [3.0, 1.0, -4.0, 2.0, 100.0, 0.5],
}
WEIGHTS = [1.0, 2.0, 0.5, 3.0, 0.0, 1.0]
CLASSES: dict[Task, tuple[str, ...]] = {"binary": ("a", "b"), "multiclass": ("a", "b", "c"), "regression": ()}
COSTS = {"binary": [[0, 1], [9, 0]], "multiclass": [[0, 1, 1], [2, 0, 3], [9, 1, 0]]}
SHARES: dict[Task, TrivialModel] = {
    "binary": TrivialModel("binary", (0.6, 0.4)),
    "multiclass": TrivialModel("multiclass", (0.5, 0.2, 0.3)),
    "regression": TrivialModel("regression", (2.5,), 1.5),
}
COMPARED = [
    (task, f"{name}({ARGUMENTS[task][name].example.replace('CLASS', 'b').replace('3', '2')})" if required else name)
    for task, names in METRICS.items()
    for name in names
    if has_trivial(name)
    for required in [name in ARGUMENTS[task] and ARGUMENTS[task][name].default is None]
]


def gained(task: Task, name: str, weighted: bool) -> dict[str, float]:
    """A metric, its gain, and the same metric of the trivial model's predictions."""
    extra = {"costs": COSTS[task]} if name in COST_METRICS else {}
    settings = {"name": name, **find_metric(task, name, CLASSES[task]).settings, **extra}
    own = metric_of(task, name, CLASSES[task], **extra)
    constant = SHARES[task].prediction(name, settings)
    inner = {"module": type(own).__module__, "class": type(own).__name__, "settings": settings}
    labels, random = LABELS[task], np.random.default_rng(0)
    predictions = random.dirichlet([1] * 3, len(labels))[:, : len(constant)]
    weights = WEIGHTS if weighted else None
    found = measure([own, BatchedGain(gain_name(name), inner, constant)], labels, predictions, weights)
    same = measure([own], labels, np.tile(constant, (len(labels), 1)), weights)
    return {
        "value": found[name],
        "gain": found[f"{name}/gain"],
        "trivial": found[f"{name}/trivial"],
        "same": same[name],
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("task", "metric"), COMPARED)
def test_a_gain_compares_a_metric_with_that_of_a_model_that_always_predicts_the_same(
    task: Task, metric: str, weighted: bool
) -> None:
    found = gained(task, metric, weighted)
    assert found["trivial"] == pytest.approx(found["same"], rel=1e-6)
    kind = kind_of(metric)
    assert kind
    difference = found["value"] - found["trivial"]
    expected = difference if kind.better == "higher" else -difference / abs(found["trivial"])
    assert found["gain"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("task", "metric", "trivial"),
    [
        ("binary", "auc", 0.5),
        ("binary", "pr_auc", 0.5),
        ("binary", "average_precision", 0.5),
        ("binary", "accuracy", 0.5),
        ("binary", "balanced_accuracy", 0.5),
        ("binary", "mcc", 0.0),
        ("binary", "precision", 0.5),
        ("binary", "f1", 2 / 3),  # all rows are taken for class 1
        ("binary", "f1(a)", 2 / 3),
        ("binary", "f1_macro", 1 / 3),
        ("binary", "brier", 0.26),
        ("binary", "expected_cost", 0.5),  # class 1 for every row
        ("multiclass", "balanced_accuracy", 1 / 3),
        ("multiclass", "top_k_accuracy(2)", 5 / 6),  # the classes with shares of 0.5 and 0.3
        ("multiclass", "precision(b)", 1 / 6),
        ("multiclass", "expected_cost", 5 / 6),  # class b for every row
        ("multiclass", "optimal_cost", 5 / 6),
        ("regression", "median_absolute_error", 1.25),
    ],
)
def test_the_trivial_model_predicts_what_is_best_for_the_metric(task: Task, metric: str, trivial: float) -> None:
    assert gained(task, metric, weighted=False)["trivial"] == pytest.approx(trivial)


def test_the_gain_is_undefined_where_the_metric_is() -> None:
    """The error in percent of a label of 0."""
    own = metric_of("regression", "mape")
    inner = {"module": type(own).__module__, "class": type(own).__name__, "settings": {"name": "mape"}}
    found = measure([own, BatchedGain("mape/gain", inner, [0.5])], [0, 0], [0.5, 0.6])
    assert math.isnan(found["mape/gain"])


@pytest.mark.parametrize(
    ("task", "labels", "weights", "model"),
    [
        ("binary", [0, 1, 1, 1], [1, 1, 1, 1], TrivialModel("binary", (0.25, 0.75))),
        ("binary", [0, 1, -1], [3, 1, 9], TrivialModel("binary", (0.75, 0.25))),
        ("multiclass", [0, 2, 2, 2], [1, 1, 1, 1], TrivialModel("multiclass", (0.25, 0.0, 0.75))),
        ("regression", [1, 2, 9], [1, 1, 1], TrivialModel("regression", (4.0,), 2.0)),
        ("regression", [1, 2, 9], [1, 0, 1], TrivialModel("regression", (5.0,), 5.0)),
        ("regression", [9, 1, 2, 3], [1, 1, 1, 1], TrivialModel("regression", (3.75,), 2.5)),
    ],
)
def test_the_trivial_model_is_the_best_constant(
    task: str, labels: list[float], weights: list[float], model: TrivialModel
) -> None:
    settings = TrivialSettings("train", task, "y", {"binary": 2, "multiclass": 3}.get(task, 0))
    halves = [
        LabeledRows(np.array(labels[part]), np.array(weights[part], float)) for part in (slice(2), slice(2, None))
    ]
    assert fit_trivial(settings, halves) == model


DAYS = [1, 2, 2, 3]
SPLIT_BY_TIME = TrivialSettings("train", "regression", "y", time="day", newest="validation", evaluated="eval")


def rows_with(labels: list[float], times: list[Any] | None = None, weights: list[float] | None = None) -> LabeledRows:
    return LabeledRows(np.array(labels), np.array(weights or [1.0] * len(labels)), times)


@pytest.mark.parametrize(
    ("evaluated", "expected"),
    [
        ([9.0, 8.0], TrivialModel("regression", (8.0,), 8.0)),  # the last value is closest
        ([2.0, 3.0], TrivialModel("regression", (3.75,), 2.5)),  # the newest rows
        ([-4.0, 1.0], TrivialModel("regression", (0.5,), 0.0)),  # the train split
        ([2.5, 2.5, 2.5, 2.5, 20.0], TrivialModel("regression", (8.0,), 2.5)),  # the last one, but only by its square
    ],
)
@pytest.mark.parametrize(
    "times",
    [
        DAYS,
        [day / 2 for day in DAYS],
        [f"2024-01-{day:02}".encode() for day in DAYS],
        [f"{day}/{20 + day}/2024".encode() for day in DAYS],  # the month comes first
    ],
)
def test_the_trivial_forecast_is_the_best_of_three_constants(
    times: list[Any], evaluated: list[float], expected: TrivialModel
) -> None:
    newest = rows_with([2.0, 2.0, 3.0, 8.0], times)
    train = TrivialModel("regression", (0.5,), 0.0)
    assert best_constants(SPLIT_BY_TIME, train, newest, rows_with(evaluated)) == expected


def test_several_latest_rows_are_averaged_by_weight() -> None:
    newest = rows_with([0.0, 4.0, 8.0], [1, 7, 7], [4.0, 3.0, 1.0])
    train = TrivialModel("regression", (-5.0,), -5.0)
    found = best_constants(SPLIT_BY_TIME, train, newest, rows_with([5.0, 5.0]))
    assert found == TrivialModel("regression", (5.0,), 4.0)


def test_dates_of_which_the_order_is_unknown_have_no_latest_one() -> None:
    assert latest_rows(LabeledRows(np.zeros(2), np.ones(2), [b"01/02/2024", b"03/04/2024"])) is None


def test_a_weighted_median_is_that_of_repeated_values() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        values, counts = random.integers(0, 5, 7).astype(float), random.integers(0, 4, 7)
        if counts.sum():
            assert weighted_median(values, counts.astype(float)) == np.median(np.repeat(values, counts))


def test_a_split_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="found no rows with a weight in the train split"):
        fit_trivial(TrivialSettings("train", "binary", "y", 2), [])


def test_labels_are_transformed_and_weights_are_raw(tmp_path: Path) -> None:
    rows, problem = raw_rows(), MULTICLASS
    settings = TrivialSettings("train", problem.task, problem.label_tensor, 3, weight="age")

    def transform(examples: tf.Tensor) -> Any:
        return small_table()._saved_graph(examples)

    batches = list(read_labels(write_raw(tmp_path / "rows.gz", rows), transform, settings))
    assert [label for batch in batches for label in batch.labels] == [
        problem.class_names.index(str(row["colour"])) for row in rows
    ]
    assert [weight for batch in batches for weight in batch.weights] == [float(row["age"] or 0) for row in rows]
    assert {batch.times for batch in batches} == {None}
    by_time = dataclasses.replace(settings, time="age", weight=None)
    [timed] = read_labels([str(tmp_path / "rows.gz")], transform, by_time)
    assert timed.times == [row["age"] for row in rows]
    assert timed.weights.tolist() == [1.0] * len(rows)


POLICY = (
    "[{metric: auc, better_than_trivial: 0.1}, {metric: loss, slice: {payment_type: Cash}, better_than_trivial: 0}]"
)


def test_thresholds_become_bounds_on_gains_whose_predictions_the_executor_adds() -> None:
    given = {"evaluation.metrics": "[loss, auc]", "evaluation.thresholds": POLICY}
    config = eval_config(load_config(ROOT / "configs/taxi.yaml", given))
    assert settings_of(config) == TrivialSettings("train", "binary", "generous_tip", 2)
    fitted = with_predictions(config, TrivialModel("binary", (0.75, 0.25)))
    by_name = {json.loads(each.config)["name"]: each for each in fitted.metrics_specs[0].metrics}
    assert list(by_name) == ["loss", "auc", "auc/gain", "loss/gain"]
    assert [len(each.per_slice_thresholds) for each in by_name.values()] == [0, 0, 1, 1]
    [bound] = by_name["auc/gain"].per_slice_thresholds
    assert bound.threshold.value_threshold.lower_bound.value == 0.1
    assert json.loads(by_name["loss/gain"].config) == {
        "name": "loss/gain",
        "metric": {
            "module": "custom_components.batched_evaluator.metrics",
            "class": "BatchedBinaryCrossEntropy",
            "settings": {"name": "loss"},
        },
        "prediction": [0.25],
    }
    keys = tfma.metrics.metric_thresholds_from_metrics_specs(fitted.metrics_specs, eval_config=fitted)
    assert sorted(key.name for key in keys) == ["auc/gain", "loss/gain"]
