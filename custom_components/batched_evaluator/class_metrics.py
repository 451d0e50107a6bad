"""Precision, recall, F1 and other metrics that count rows by actual and predicted class."""

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from custom_components.batched_evaluator.class_statistics import (
    AVERAGES,
    LOWEST,
    MEASURES,
    Table,
    measure_table,
    of_class,
)
from custom_components.batched_evaluator.combiners import Buckets, merge_buckets, rows_of
from custom_components.batched_evaluator.row_means import keys_of, with_interval

COUNTS = "_class_counts"  # TFMA does not write metrics whose names start like this


class ClassCounts(beam.CombineFn):
    """Weights of the rows, and their squares, by actual and predicted class.

    A row of an unknown class is left out.
    """

    def __init__(
        self,
        classes: int,
        key: metric_types.MetricKey,
        eval_config: config_pb2.EvalConfig | None,
        example_weighted: bool,
    ) -> None:
        """Creates the combiner.

        Args:
            classes: Number of classes.
            key: Key of the result.
            eval_config: Specifies which outputs are labels and predictions.
            example_weighted: Whether examples have weights.
        """
        self._classes, self._key = classes, key
        self._eval_config, self._example_weighted = eval_config, example_weighted

    def create_accumulator(self) -> Buckets:
        """Zero rows."""
        return Buckets(np.zeros(0, np.int64), np.zeros((2, 0)))

    def add_input(self, accumulator: Buckets, element: metric_types.StandardMetricInputs) -> Buckets:
        """Adds rows."""
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        known = (rows.labels >= 0) & (rows.labels < self._classes)
        cells = rows.labels.astype(np.int64) * self._classes + predicted_classes(rows.predictions)
        sums = np.stack([rows.weights, np.square(rows.weights)])
        return merge_buckets([accumulator, Buckets(cells[known], sums[:, known])])

    def merge_accumulators(self, accumulators: Iterable[Buckets]) -> Buckets:
        """Merges accumulators."""
        return merge_buckets(accumulators)

    def extract_output(self, accumulator: Buckets) -> dict[metric_types.MetricKey, Table]:
        """The table, by the key of the counts."""
        sums = np.zeros((2, self._classes**2))
        sums[:, accumulator.ids] = accumulator.sums
        return {self._key: Table(*sums.reshape(2, self._classes, self._classes))}


class BatchedClassMetric(metric_types.Metric):
    """A metric of :mod:`.class_statistics`."""

    def __init__(self, name: str, statistic: str, classes: int, index: int | None = None) -> None:
        """Creates the metric.

        Args:
            name: Name of the metric.
            statistic: One of ``AVERAGES``, or one of ``MEASURES`` for one class.
            classes: Number of classes.
            index: Index of the class.
        """
        self._statistic, self._classes, self._index = statistic, classes, index
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    def _computations_of_key(
        self, name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        key, counts = (
            metric_types.MetricKey(each, model_name, output_name, example_weighted=example_weighted)
            for each in (name, COUNTS)
        )
        named = self._statistic
        statistic = AVERAGES[named] if self._index is None else of_class(MEASURES[named], self._index)

        def derive(found: Mapping[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
            return with_interval(key, *measure_table(found[counts], statistic, LOWEST.get(named, 0.0)))

        combiner = ClassCounts(self._classes, counts, eval_config, example_weighted)
        return [
            metric_types.MetricComputation([counts], None, combiner),
            metric_types.DerivedMetricComputation(keys_of(key), derive),
        ]


def predicted_classes(predictions: np.ndarray) -> np.ndarray:
    """The class of each row, int64 [N]: the most probable one, or 1 if the probability of class 1 is above 0.5.

    Args:
        predictions: Probabilities [N] of class 1, or [N, C].
    """
    found = predictions.argmax(axis=1) if predictions.ndim > 1 else predictions > 0.5
    return found.astype(np.int64)
