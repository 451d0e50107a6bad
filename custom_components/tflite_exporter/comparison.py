"""Compares a TFLite model with the SavedModel that it was converted from."""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import sklearn.metrics
import tensorflow as tf

from custom_components.shared.examples import NO_ROWS, records
from models.label_scaling import LabelScaling, magnitudes
from models.problem.problem import Problem
from models.signatures import SERVING, TRANSFORM_LABEL
from serving.edge import EdgeModel

BATCH = 512
Array: TypeAlias = np.ndarray[Any, Any]
QUALITY_METRICS = {"binary": "auc", "multiclass": "accuracy", "regression": "r2"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Predictions and speed of a TFLite model on a split.

    Attributes:
        rows: Number of rows compared.
        max_abs_diff: Largest difference from a prediction of the SavedModel, relative above 1.
        metric: ``auc``, ``accuracy`` or ``r2``, depending on the task.
        saved_model: The metric of the SavedModel.
        tflite: The metric of the TFLite model.
        p50_ms: Median time per row in milliseconds, on one thread.
        p99_ms: 99th percentile of the time per row in milliseconds.
    """

    rows: int
    max_abs_diff: float
    metric: str
    saved_model: float
    tflite: float
    p50_ms: float
    p99_ms: float

    @property
    def loss(self) -> float:
        """Decrease of the metric from the SavedModel to the TFLite model."""
        return self.saved_model - self.tflite


def compare(
    content: bytes,
    model_dir: str,
    files: Sequence[str],
    problem: Problem,
    max_examples: int,
    scaling: LabelScaling | None = None,
) -> Comparison:
    """Runs rows of a split through LiteRT, one at a time as on a device, and through the SavedModel.

    Args:
        content: The TFLite model.
        model_dir: The SavedModel.
        files: Gzipped TFRecord files of raw examples.
        problem: Task, label and features.
        max_examples: Maximum number of rows.
        scaling: How the label was scaled for the network.

    Raises:
        ValueError: There are no rows, or the TFLite model does not accept one of them.
    """
    edge = EdgeModel(content)
    signatures = tf.saved_model.load(model_dir).signatures
    expected, found, labels, seconds = [], [], [], []
    for batch in records(files).take(max_examples).batch(BATCH):
        expected.append(signatures[SERVING](batch)["predictions"].numpy())
        labels.append(signatures[TRANSFORM_LABEL](batch)[problem.label_tensor].numpy())
        for row in _rows(batch.numpy(), problem.features.columns):
            start = time.perf_counter()
            try:
                tensors = edge.encode(row)
            except ValueError as error:
                raise ValueError(f"{error}; remove the feature, or set tflite.enabled to false") from None
            found.append(edge.run(tensors))
            seconds.append(time.perf_counter() - start)
    if not found:
        raise ValueError(NO_ROWS)
    saved, lite, label = np.concatenate(expected), np.stack(found), np.concatenate(labels)[:, 0]
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return Comparison(
        rows=len(found),
        max_abs_diff=_largest_difference(saved, lite, scaling),
        metric=QUALITY_METRICS[problem.task],
        saved_model=quality(problem.task, label, saved),
        tflite=quality(problem.task, label, lite),
        p50_ms=float(p50),
        p99_ms=float(p99),
    )


def _largest_difference(saved: Array, lite: Array, scaling: LabelScaling | None = None) -> float:
    """The largest difference, relative to the magnitude of predictions, or NaN if only one of the two is NaN."""
    same = (saved == lite) | (np.isnan(saved) & np.isnan(lite))
    with np.errstate(invalid="ignore"):
        difference = np.abs(saved - lite) / magnitudes(scaling, saved)
    return float(np.max(np.where(same, 0, difference)))


def quality(task: str, labels: Array, predictions: Array) -> float:
    """The AUC of a binary task, the accuracy of a multiclass task, or R² of a regression.

    Args:
        task: The task.
        labels: [N]. Rows whose label is -1, an unknown class, are left out.
        predictions: [N, 1] or [N, C].

    Returns:
        The metric, or NaN where it is undefined: predictions are not finite, or there is only one class for the AUC.
    """
    if not np.isfinite(predictions).all():
        return math.nan
    if task == "regression":
        return float(sklearn.metrics.r2_score(labels, predictions[:, 0]))
    known = labels >= 0
    labels, predictions = labels[known], predictions[known]
    if task == "multiclass":
        return float(np.mean(predictions.argmax(axis=1) == labels))
    return float(sklearn.metrics.roc_auc_score(labels, predictions[:, 0])) if len(np.unique(labels)) == 2 else math.nan


def _rows(serialized: Sequence[bytes], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for record in serialized:
        features = tf.train.Example.FromString(record).features.feature
        yield {name: _value(features[name]) for name in columns if name in features}


def _value(feature: tf.train.Feature) -> Any:
    """The value of a feature, or a list of several."""
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return values if len(values) > 1 else values[0] if values else None
