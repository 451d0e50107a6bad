import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from small_table import MULTICLASS, raw_rows, small_table, write_raw
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics.metric_types import (
    MetricComputation,
    MetricKey,
    StandardMetricInputs,
)

from common.project import ROOT
from custom_components.batched_evaluator import metrics
from custom_components.batched_evaluator.trivial_metrics import BatchedGain
from custom_components.batched_evaluator.trivial_model import (
    TrivialModel,
    fit_trivial,
    read_labels,
    settings_of,
    weighted_median,
    with_predictions,
)
from custom_components.batched_evaluator.trivial_settings import TrivialSettings, gain_name
from pipeline.config.loading import load_config
from pipeline.eval_config import eval_config

Arrays = np.ndarray[Any, Any]
LABELS: dict[str, list[float]] = {
    "binary": [1, 0, 0, 1, 0],
    "multiclass": [2, 0, 0, 1, 0],
    "regression": [3.0, 1.0, -4.0, 2.0, 100.0],
}
WEIGHTS = [1.0, 2.0, 0.5, 3.0, 0.0]


def computed(found: Sequence[Any], labels: Sequence[float], predictions: Arrays, weighted: bool) -> dict[str, Any]:
    """Computes TFMA's metrics of one batch, by name."""
    inputs = StandardMetricInputs(
        {
            constants.LABELS_KEY: np.array([labels]).T,
            constants.PREDICTIONS_KEY: predictions.astype(np.float32),
            constants.EXAMPLE_WEIGHTS_KEY: np.array([WEIGHTS if weighted else [1.0] * len(labels)]).T,
        }
    )
    values: dict[MetricKey, Any] = {}
    for each in found:
        for computation in each.computations(example_weighted=weighted):
            if isinstance(computation, MetricComputation):
                combiner = computation.combiner
                combiner.setup()
                values |= combiner.extract_output(combiner.add_input(combiner.create_accumulator(), inputs))
            else:
                values |= computation.result(values)
    return {key.name: value for key, value in values.items()}


OWN: dict[tuple[str, str], Any] = {
    ("accuracy", "binary"): metrics.BatchedBinaryAccuracy,
    ("auc", "binary"): metrics.BatchedAUC,
    ("pr_auc", "binary"): metrics.BatchedAUCPrecisionRecall,
    ("loss", "binary"): metrics.BatchedBinaryCrossEntropy,
    ("accuracy", "multiclass"): metrics.BatchedSparseCategoricalAccuracy,
    ("loss", "multiclass"): metrics.BatchedSparseCategoricalCrossentropy,
    ("mse", "regression"): metrics.BatchedMeanSquaredError,
    ("mae", "regression"): metrics.BatchedMeanAbsoluteError,
    ("mape", "regression"): metrics.BatchedMeanAbsolutePercentageError,
}
CONSTANT: dict[str, list[float]] = {"binary": [0.4], "multiclass": [0.5, 0.2, 0.3], "regression": [2.5]}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("metric", "task"), sorted(OWN))
def test_a_gain_compares_a_metric_with_that_of_a_model_that_always_predicts_the_same(
    metric: str, task: str, weighted: bool
) -> None:
    labels, constant, random = LABELS[task], CONSTANT[task], np.random.default_rng(0)
    own = OWN[metric, task](name=metric)
    predictions = random.dirichlet([1] * 3, len(labels))[:, : len(constant)]
    both = [own, BatchedGain(gain_name(metric), metric, task, constant)]
    found = computed(both, labels, predictions, weighted)
    of_constant = computed([own], labels, np.tile(np.array(constant), (len(labels), 1)), weighted)[metric]
    assert found[f"{metric}/trivial"] == pytest.approx(of_constant, rel=1e-6)
    value = found[metric]
    expected = value - of_constant if metric in ("accuracy", "auc", "pr_auc") else 1 - value / of_constant
    assert found[f"{metric}/gain"] == pytest.approx(expected, rel=1e-5)


def test_the_gain_is_undefined_where_the_metric_is() -> None:
    """The error in percent of a label of 0."""
    own = metrics.BatchedMeanAbsolutePercentageError(name="mape")
    both = [own, BatchedGain("mape/gain", "mape", "regression", [0.5])]
    assert math.isnan(computed(both, [0, 0], np.array([[0.5], [0.6]]), weighted=False)["mape/gain"])


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
    halves = [(np.array(labels[part]), np.array(weights[part], float)) for part in (slice(2), slice(2, None))]
    assert fit_trivial(settings, halves) == model


def test_predictions_are_those_that_each_metric_is_best_for() -> None:
    assert TrivialModel("regression", (4.0,), 2.0).prediction("mse") == [4.0]
    assert TrivialModel("regression", (4.0,), 2.0).prediction("mae") == [2.0]
    assert TrivialModel("binary", (0.25, 0.75)).prediction("loss") == [0.75]
    assert TrivialModel("multiclass", (0.25, 0.0, 0.75)).prediction("accuracy") == [0.25, 0.0, 0.75]


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
    labels, weights = (np.concatenate(column).tolist() for column in zip(*batches, strict=True))
    assert labels == [problem.class_names.index(str(row["colour"])) for row in rows]
    assert weights == [float(row["age"] or 0) for row in rows]


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
        "metric": "loss",
        "task": "binary",
        "prediction": [0.25],
    }
    keys = tfma.metrics.metric_thresholds_from_metrics_specs(fitted.metrics_specs, eval_config=fitted)
    assert sorted(key.name for key in keys) == ["auc/gain", "loss/gain"]
