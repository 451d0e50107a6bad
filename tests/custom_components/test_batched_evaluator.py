"""Compares the metrics with TFMA's, which process rows one at a time."""

import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from google.protobuf.message import Message
from metric_values import value_of
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api.types import VarLenTensorValue
from tensorflow_model_analysis.evaluators.metrics_plots_and_validations_evaluator import (
    MetricsPlotsAndValidationsEvaluator,
)
from tensorflow_model_analysis.metrics.metric_types import MetricKey, StandardMetricInputs
from tensorflow_model_analysis.metrics.multi_class_confusion_matrix_metrics import MatrixEntryKey
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils.model_util import get_inputs

from common.error_reason import reason
from custom_components.batched_evaluator import metrics
from custom_components.batched_evaluator.combiners import rows_of
from custom_components.batched_evaluator.extractors import hide_model_input, slices_of_batch
from models.problem.problem import Task
from pipeline.config.metrics import find_metric
from pipeline.eval_config import PLOTS

ROWS = 80
SLICES = """
slicing_specs {}
slicing_specs { feature_keys: "city" }
slicing_specs { feature_keys: "hour" feature_keys: "city" }
slicing_specs { feature_keys: "tags" }
slicing_specs { feature_values { key: "hour" value: "3" } }
slicing_specs { feature_keys: "city" feature_values { key: "price" value: "2.5" } }
slicing_specs { feature_keys: "nowhere" }
"""
OF_TFMA: dict[Task, dict[str, str]] = {
    "binary": {
        "auc": "AUC",
        "pr_auc": "AUCPrecisionRecall",
        "accuracy": "BinaryAccuracy",
        "balanced_accuracy": "BalancedAccuracy",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1Score",
        "calibration": "Calibration",
        "loss": "BinaryCrossEntropy",
        "example_count": "ExampleCount",
    },
    "multiclass": {
        "accuracy": "SparseCategoricalAccuracy",
        "loss": "SparseCategoricalCrossentropy",
        "example_count": "ExampleCount",
    },
    "regression": {
        "mse": "MeanSquaredError",
        "mae": "MeanAbsoluteError",
        "mape": "MeanAbsolutePercentageError",
        "calibration": "Calibration",
        "mean_label": "MeanLabel",
        "mean_prediction": "MeanPrediction",
        "example_count": "ExampleCount",
    },
}
NEED_BOTH_CLASSES = ("auc", "pr_auc", "balanced_accuracy")  # without which TFMA may return 0
Results = dict[Any, dict[Any, Any]]


def column(values: Sequence[Sequence[Any]], dtype: Any) -> VarLenTensorValue:
    """A column of rows with no, one or more values each."""
    flat = np.array([value for row in values for value in row], dtype)
    places = [(row, place) for row, each in enumerate(values) for place in range(len(each))]
    shape = np.array([len(values), max(map(len, values))])
    return VarLenTensorValue(flat, np.array(places, np.int64).reshape(-1, 2), shape)


def weighted(rows: dict[str, Any], random: np.random.Generator) -> dict[str, Any]:
    """A batch with weights, some of them 0."""
    weights = random.choice(np.array([0, 0.5, 1, 3], np.float32), (ROWS, 1))
    labels = rows[constants.LABELS_KEY]
    by_model = dict.fromkeys(labels, weights) if isinstance(labels, dict) else weights
    return {**rows, constants.EXAMPLE_WEIGHTS_KEY: by_model}


def batch(random: np.random.Generator, task: str, models: Sequence[str]) -> dict[str, Any]:
    """Extracts of a batch as in TFMA after the predictions."""

    def some(choices: list[Any], most: int) -> list[list[Any]]:
        return [
            [choices[place] for place in random.integers(0, len(choices), random.integers(0, most + 1))]
            for _ in range(ROWS)
        ]

    features = {
        "city": column(some([b"Chicago", "Zürich".encode(), b""], 1), object),
        "hour": column(some([1, 3, 5], 1), np.int64),
        "price": random.choice(np.array([0.1, 2.5], np.float32), (ROWS, 1)),
        "tags": column(some([b"a", b"b"], 3), object),
    }
    labels, predict = {
        "binary": (random.integers(0, 2, (ROWS, 1)), lambda: random.beta(0.5, 0.5, (ROWS, 1))),
        "multiclass": (random.integers(0, 3, (ROWS, 1)), lambda: random.dirichlet([1, 1, 1], ROWS)),
        "regression": (random.integers(-2, 3, (ROWS, 1)).astype(np.float32), lambda: random.normal(0, 2, (ROWS, 1))),
    }[task]
    predictions = {name: predict().astype(np.float32) for name in models}
    return {
        constants.FEATURES_KEY: features,
        constants.LABELS_KEY: labels if len(models) == 1 else dict.fromkeys(models, labels),
        constants.PREDICTIONS_KEY: predictions[models[0]] if len(models) == 1 else predictions,
    }


def config(task: Any, models: Sequence[str], original: bool = False) -> config_pb2.EvalConfig:
    """The metrics that TFMA has, too, and the plots of a task: TFMA's own or ours."""
    found = text_format.Parse(SLICES, config_pb2.EvalConfig())
    for name in models:
        found.model_specs.add(name=name, label_key="label", is_baseline=name == "baseline")
    spec = found.metrics_specs.add(model_names=models if len(models) > 1 else [])
    for name, class_name in OF_TFMA[task].items():
        if original:
            spec.metrics.add(class_name=class_name, config=json.dumps({"name": name}))
        else:
            ours, module, settings = find_metric(task, name, ("a", "b"))
            settings = {"name": name, **settings}
            spec.metrics.add(class_name=f"Batched{ours}", module=module, config=json.dumps(settings))
    if task in PLOTS:
        class_name, settings = PLOTS[task]
        plot, module = (class_name, "") if original else (f"Batched{class_name}", metrics.__name__)
        spec.metrics.add(class_name=plot, module=module, config=json.dumps(settings))
    return found


def evaluated(folder: Path, batches: list[dict[str, Any]], eval_config: config_pb2.EvalConfig, by_row: bool) -> Results:
    """What TFMA's evaluator makes of batches: metrics and plots, by slice and key."""
    evaluator = MetricsPlotsAndValidationsEvaluator(eval_config)
    rows = [tfma.extractors.UnbatchExtractor(), tfma.extractors.SliceKeyExtractor(eval_config=eval_config)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        extracts = pipeline | beam.Create(batches, reshuffle=False)
        if by_row:
            for each in rows:
                extracts = extracts | each.stage_name >> each.ptransform
        else:
            extracts = extracts | beam.FlatMap(slices_of_batch, list(eval_config.slicing_specs))
        results = extracts | evaluator.stage_name >> evaluator.ptransform
        for kind in ("metrics", "plots"):
            pickled = results[kind] | f"pickle {kind}" >> beam.Map(pickle.dumps)
            _ = pickled | f"write {kind}" >> beam.io.WriteToTFRecord(f"{folder}/{by_row}-{kind}")
    found: Results = {}
    for path in folder.glob(f"{by_row}-*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            slice_key, values = pickle.loads(record)
            found.setdefault(slice_key, {}).update(values)
    return found


@pytest.mark.parametrize(
    ("task", "models", "has_weights"),
    [
        ("binary", ["candidate", "baseline"], False),
        ("binary", [""], True),
        ("multiclass", [""], True),
        ("regression", [""], True),
    ],
)
def test_metrics_and_plots_are_those_of_tfma(task: str, models: list[str], has_weights: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    batches = [batch(random, task, models) for _ in range(3)]
    own, original = config(task, models), config(task, models, original=True)
    if has_weights:
        batches = [weighted(each, random) for each in batches]
        for each in (*own.model_specs, *original.model_specs):
            each.example_weight_key = "weight"
    ours = evaluated(tmp_path, batches, own, by_row=False)
    theirs = evaluated(tmp_path, batches, original, by_row=True)
    assert {key.example_weighted for values in ours.values() for key in values} == {has_weights}
    assert len(theirs) == 19
    assert ours.keys() == theirs.keys()
    for slice_key, expected in theirs.items():
        named = {key for key in ours[slice_key] if "/" not in getattr(key, "name", "")}  # others are intervals
        assert named == expected.keys()
        for key, value in expected.items():
            found = ours[slice_key][key]
            if getattr(key, "name", "") in NEED_BOTH_CLASSES and math.isnan(found):
                assert value == 0 or math.isnan(value)
            else:
                _check_same(found, value, f"{slice_key} {key}")


def _check_same(found: Any, expected: Any, what: str) -> None:
    if not isinstance(expected, Message):
        # TFMA takes the logarithms of a loss in float32.
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-7, nan_ok=True), what
        return
    assert type(found) is type(expected)
    for field, value in expected.ListFields():
        each = getattr(found, field.name)
        if field.label != field.LABEL_REPEATED:
            _check_same(each, value, f"{what} {field.name}")
            continue
        assert len(each) == len(value), what
        for one, other in zip(each, value, strict=True):
            _check_same(one, other, f"{what} {field.name}")


def test_slices_are_by_the_raw_column_even_if_the_label_has_its_name() -> None:
    rows = batch(np.random.default_rng(0), "binary", [""])
    rows[constants.TRANSFORMED_FEATURES_KEY] = {"city": np.zeros((ROWS, 1), np.int64)}
    found = list(slices_of_batch(rows, [config_pb2.SlicingSpec(feature_keys=["city"])]))
    assert {pair for each in found for [pair] in each[constants.SLICE_KEY_TYPES_KEY]} == {
        *[("city", "Chicago"), ("city", "Zürich"), ("city", "")]
    }


def test_raw_column_with_the_name_of_the_models_input_is_not_fed_to_the_model_and_can_be_sliced_by() -> None:
    rows = batch(np.random.default_rng(0), "binary", [""])
    city = rows[constants.FEATURES_KEY].pop("city")
    rows[constants.FEATURES_KEY]["examples"] = np.array([[b"a"], [b"b"]] * (ROWS // 2))
    spec = {"examples": tf.TensorSpec([None], tf.string)}
    assert get_inputs(rows[constants.FEATURES_KEY], spec) is not None  # what TFMA feeds instead of serialized rows
    hidden = hide_model_input({**rows, constants.FEATURES_KEY: {**rows[constants.FEATURES_KEY], "city": city}})
    assert get_inputs(hidden[constants.FEATURES_KEY], spec) is None
    found = list(slices_of_batch(hidden, [config_pb2.SlicingSpec(feature_keys=["examples"])]))
    assert [len(each[constants.LABELS_KEY]) for each in found] == [ROWS // 2, ROWS // 2]


def test_positive_and_negative_zero_are_one_slice() -> None:
    keys = []
    for values in ([-0.0, 0.0], [0.0, -0.0]):
        rows = {
            constants.FEATURES_KEY: {"price": np.array(values, np.float32)[:, np.newaxis]},
            constants.LABELS_KEY: np.zeros((2, 1)),
            constants.PREDICTIONS_KEY: np.zeros((2, 1), np.float32),
        }
        [found] = slices_of_batch(rows, [config_pb2.SlicingSpec(feature_keys=["price"])])
        [[(_, value)]] = found[constants.SLICE_KEY_TYPES_KEY]
        keys.append(math.copysign(1, value))
    assert keys == [1, 1]


@pytest.mark.parametrize(
    ("label", "prediction", "said"),
    [(1, math.nan, "found a prediction that is NaN; expected prob"), (-1, 0.5, "found the label -1; expected 0 or 1")],
)
def test_rows_that_tfma_rejects_are_rejected_in_one_line(
    label: int, prediction: float, said: str, tmp_path: Path
) -> None:
    rows = batch(np.random.default_rng(0), "binary", [""])
    rows[constants.LABELS_KEY][7], rows[constants.PREDICTIONS_KEY][7] = label, prediction
    with pytest.raises(RuntimeError) as caught:
        evaluated(tmp_path, [rows], config("binary", [""]), by_row=False)
    assert reason(caught.value).startswith(said)


@pytest.mark.parametrize("prediction", [math.nan, math.inf, 1.5, -0.1])
def test_a_loss_of_an_invalid_probability_is_nan_as_in_tfma(prediction: float) -> None:
    assert math.isnan(value_of("binary", "loss", [1, 0], [prediction, 0.5]))


def test_a_prediction_that_is_nan_is_of_the_first_class_as_in_tfma() -> None:
    [computation] = metrics.BatchedMultiClassConfusionMatrixPlot(name="plot").computations()[:1]
    inputs = StandardMetricInputs(
        {constants.LABELS_KEY: np.array([[1]]), constants.PREDICTIONS_KEY: np.full((1, 3), math.nan)}
    )
    found = computation.combiner.add_input(computation.combiner.create_accumulator(), inputs)
    assert list(found.values()) == [{MatrixEntryKey(1, 0): 1.0}]


def test_an_error_of_nan_is_left_out_as_in_tfma() -> None:
    assert value_of("regression", "mse", [1, 0], [math.nan, 2]) == 4


def test_a_certain_prediction_has_infinite_loss_if_wrong_and_none_if_right() -> None:
    loss = metrics.BatchedBinaryCrossEntropy.values(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 0], np.float32))
    assert loss.tolist() == [0, 0, math.inf]


def test_several_labels_a_row_are_refused() -> None:
    extracts = {constants.LABELS_KEY: np.zeros((2, 2)), constants.PREDICTIONS_KEY: np.zeros((2, 1))}
    with pytest.raises(ValueError, match="found 4 labels in 2 rows; expected one per row"):
        rows_of(StandardMetricInputs(extracts), MetricKey("auc"), None, example_weighted=False)
