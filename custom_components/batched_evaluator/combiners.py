"""TFMA's combiners, with accumulators that are updated with arrays.

TFMA calls a combiner's ``add_input`` for each row. Here it is called once for all rows of a slice in a batch, which
:func:`custom_components.batched_evaluator.extractors.slices_of_batch` keeps together. The computation of metrics from
the sums, and the output, are TFMA's.
"""

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import (
    calibration_histogram,
    metric_types,
    metric_util,
    multi_class_confusion_matrix_metrics,
)
from tensorflow_model_analysis.metrics.calibration_histogram import Bucket
from tensorflow_model_analysis.metrics.multi_class_confusion_matrix_metrics import NO_PREDICTED_CLASS_ID, MatrixEntryKey
from tensorflow_model_analysis.proto import config_pb2


class Rows(NamedTuple):
    """The rows of a slice in a batch.

    Attributes:
        labels: float64 [N].
        predictions: [N] or [N, classes], with the model's dtype.
        weights: float64 [N], or ones if examples are not weighted.
    """

    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray


def rows_of(
    inputs: metric_types.StandardMetricInputs,
    key: metric_types.MetricKey,
    eval_config: config_pb2.EvalConfig | None,
    example_weighted: bool,
) -> Rows:
    """Extracts the rows for the metric of one model.

    Raises:
        ValueError: A row does not have exactly one label.
    """
    [(labels, predictions, weights)] = metric_util.to_label_prediction_example_weight(
        inputs,
        eval_config=eval_config,
        model_name=key.model_name,
        output_name=key.output_name,
        example_weighted=example_weighted,
        flatten=False,
        squeeze=False,
    )
    count = len(predictions)
    if labels.size != count:
        raise ValueError(f"{key.name}: found {labels.size} labels in {count} rows; expected one per row")
    wide = predictions.reshape(count, -1)
    return Rows(
        labels.reshape(count).astype(np.float64),
        wide[:, 0] if wide.shape[1] == 1 else wide,
        np.broadcast_to(weights.astype(np.float64).ravel(), count),
    )


class Buckets(NamedTuple):
    """Sums by bucket of the rows. Arrays, because Beam pickles accumulators several times.

    Attributes:
        ids: [B]: the buckets with rows, sorted.
        sums: float64 [S, B].
    """

    ids: np.ndarray
    sums: np.ndarray


def merge_buckets(parts: Iterable[Buckets]) -> Buckets:
    """Adds the sums of the same bucket. Its ids may be in any order in the parts."""
    all_ids, all_sums = zip(*parts, strict=True)
    ids, inverse = np.unique(np.concatenate(all_ids), return_inverse=True)
    sums = np.concatenate(all_sums, axis=1)
    return Buckets(ids, np.stack([np.bincount(inverse, each, len(ids)) for each in sums]))


class Histogram(calibration_histogram._CalibrationHistogramCombiner):
    """Sums of labels, predictions and weights by bucket of the prediction, for AUC and the calibration plot."""

    def create_accumulator(self) -> Buckets:
        """An accumulator without buckets."""
        return Buckets(np.zeros(0, np.int64), np.zeros((3, 0)))

    def add_input(self, accumulator: Buckets, element: metric_types.StandardMetricInputs) -> Buckets:
        """Adds rows.

        Raises:
            ValueError: As in TFMA, a prediction is NaN, or a label is not between 0 and 1.
        """
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        predictions = rows.predictions.astype(np.float64)
        by = predictions if self._prediction_based_bucketing else rows.labels
        if np.isnan(by).any():
            raise ValueError("found a prediction that is NaN; expected probabilities: did training diverge?")
        if self._fractional_labels and (invalid := ~((rows.labels >= 0) & (rows.labels <= 1))).any():
            raise ValueError(f"found the label {rows.labels[invalid][0]:g}; expected 0 or 1")
        # Truncated as in TFMA. The first bucket is for values below the range, the last for values above.
        ids = np.clip((by - self._left) / self._range * self._num_buckets + 1, 0, self._num_buckets + 1)
        values = np.stack([rows.labels, predictions, np.ones_like(predictions)]) * rows.weights
        return self.merge_accumulators([accumulator, Buckets(ids.astype(np.int64), values)])

    def merge_accumulators(self, accumulators: Iterable[Buckets]) -> Buckets:
        """Merges accumulators."""
        return merge_buckets(accumulators)

    def extract_output(self, accumulator: Buckets) -> dict[metric_types.PlotKey, list[Bucket]]:
        """TFMA's histogram, by the key of the metric."""
        return {self._key: list(map(Bucket, accumulator.ids.tolist(), *accumulator.sums.tolist()))}


class ClassMatrices(multi_class_confusion_matrix_metrics._MultiClassConfusionMatrixCombiner):
    """Weights by actual and predicted class and by threshold, for the confusion matrix."""

    def add_input(self, accumulator: Any, element: metric_types.StandardMetricInputs) -> Any:
        """Adds rows."""
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        best = rows.predictions.argmax(axis=1)
        scores = rows.predictions.max(axis=1)
        for threshold in self._thresholds:
            predicted = np.where(scores <= threshold, NO_PREDICTED_CLASS_ID, best)  # NaN counts as a class, as in TFMA
            pairs, inverse = np.unique(np.stack([rows.labels, predicted], 1), axis=0, return_inverse=True)
            matrix = accumulator.setdefault(threshold, {})
            sums = np.bincount(inverse.ravel(), weights=rows.weights)
            for (actual, guess), weight in zip(pairs.astype(np.int64).tolist(), sums.tolist(), strict=True):
                entry = MatrixEntryKey(actual, guess)
                matrix[entry] = matrix.get(entry, 0.0) + weight
        return accumulator


class Count(beam.CombineFn):
    """Number of rows, or sum of their weights."""

    def __init__(self, key: metric_types.MetricKey, example_weighted: bool, effective: bool) -> None:
        """Creates the combiner.

        Args:
            key: Key of the result.
            example_weighted: Whether to sum weights.
            effective: Whether to count how many rows of equal weight vary as little: Kish, Survey Sampling (1965).
        """
        self._key, self._example_weighted, self._effective = key, example_weighted, effective

    def create_accumulator(self) -> tuple[float, float]:
        """Sums of the weights, and of their squares, of no rows."""
        return 0.0, 0.0

    def add_input(
        self, accumulator: tuple[float, float], element: metric_types.StandardMetricInputs
    ) -> tuple[float, float]:
        """Adds rows."""
        weights = element.get_example_weights(self._key.model_name, self._key.output_name)
        weights = weights.astype(np.float64) if self._example_weighted else np.ones(weights.size)
        return self.merge_accumulators([accumulator, (float(weights.sum()), float(np.square(weights).sum()))])

    def merge_accumulators(self, accumulators: Iterable[tuple[float, float]]) -> tuple[float, float]:
        """The sums of all accumulators."""
        weights, squares = zip(*accumulators, strict=True)
        return sum(weights), sum(squares)

    def extract_output(self, accumulator: tuple[float, float]) -> metric_types.MetricsDict:
        """The number, by the key of the metric."""
        weight, squares = accumulator
        return {self._key: weight**2 / squares if self._effective and squares else weight}


BY_COLUMN = {each.__mro__[1]: each for each in (Histogram, ClassMatrices)}


def batched_combiner(combiner: beam.CombineFn) -> beam.CombineFn:
    """Replaces one of TFMA's combiners with the one that processes arrays, with the same settings.

    Raises:
        ValueError: There is no replacement.
    """
    if type(combiner) not in BY_COLUMN:
        known = ", ".join(sorted(each.__name__ for each in BY_COLUMN))
        raise ValueError(f"found TFMA's combiner {type(combiner).__name__}; expected one of {known}")
    batched = copy.copy(combiner)
    batched.__class__ = BY_COLUMN[type(combiner)]
    return batched
