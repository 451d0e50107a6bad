"""Metrics of the distribution of a value: quantiles of the absolute error, and average precision."""

import math
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from common.intervals import Interval, Z
from custom_components.batched_evaluator.combiners import Buckets, Rows, merge_buckets, rows_of
from custom_components.batched_evaluator.row_means import keys_of, with_interval

MAX_VALUES = 100_000  # different values of a slice that are kept
KEPT_BITS = 12  # of a value's fraction, if there are more


class ByValue(beam.CombineFn):
    """Weights, their squares, and weighted labels of the rows by a value: a prediction, or an absolute error.

    Exact for up to :data:`MAX_VALUES` different values in a slice. With more, values are rounded to one part in 8,192.
    """

    def __init__(
        self,
        metric: "_OfValues",
        key: metric_types.MetricKey,
        eval_config: config_pb2.EvalConfig | None,
        example_weighted: bool,
    ) -> None:
        """Creates the combiner.

        Args:
            metric: The metric, which computes the values of the rows and the result.
            key: Key of the result.
            eval_config: Specifies which outputs are labels and predictions.
            example_weighted: Whether examples have weights.
        """
        self._value, self._result = metric.value, metric.result
        self._key, self._eval_config, self._example_weighted = key, eval_config, example_weighted

    def create_accumulator(self) -> list[Buckets]:
        """Zero rows."""
        return []

    def add_input(self, accumulator: list[Buckets], element: metric_types.StandardMetricInputs) -> list[Buckets]:
        """Adds rows with a weight."""
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        values = self._value(rows)
        known = (rows.weights > 0) & ~np.isnan(values)
        sums = np.stack([rows.weights, np.square(rows.weights), rows.weights * rows.labels])
        return self.merge_accumulators([accumulator, [Buckets(values[known], sums[:, known])]])

    def merge_accumulators(self, accumulators: Iterable[list[Buckets]]) -> list[Buckets]:
        """Joins accumulators, and merges their buckets once there are many."""
        parts = [part for each in accumulators for part in each]
        return [merged_values(parts)] if sum(len(each.ids) for each in parts) > 2 * MAX_VALUES else parts

    def extract_output(self, accumulator: list[Buckets]) -> metric_types.MetricsDict:
        """The metric and its interval, or NaN if there are no rows."""
        found = merged_values(accumulator) if accumulator else None
        value, interval = self._result(found) if found and len(found.ids) else (math.nan, None)
        return with_interval(self._key, value, interval)


def merged_values(parts: Iterable[Buckets]) -> Buckets:
    """Adds the sums of the same value, rounded if there are too many."""
    merged = merge_buckets(parts)
    return merge_buckets([Buckets(rounded(merged.ids), merged.sums)]) if len(merged.ids) > MAX_VALUES else merged


def rounded(values: np.ndarray) -> np.ndarray:
    """Values of at least 0, float64 [N], with :data:`KEPT_BITS` bits of their fraction.

    >>> rounded(np.array([0.0, 1.0, 1.00001, 1000.1])).tolist()
    [0.0, 1.0, 1.0, 1000.125]
    """
    dropped = 52 - KEPT_BITS
    bits = np.asarray(values, np.float64).view(np.int64)
    return np.where(np.isfinite(values), (bits + (1 << (dropped - 1)) >> dropped << dropped).view(np.float64), values)


class _OfValues(metric_types.Metric):
    """A metric of the rows by a value."""

    def __init__(self, name: str) -> None:
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    @staticmethod
    def value(rows: Rows) -> np.ndarray:
        """The value of each row, float64 [N]. Rows with NaN are left out."""
        raise NotImplementedError

    def result(self, found: Buckets) -> tuple[float, Interval | None]:
        """The metric and its interval, given the sums by value."""
        raise NotImplementedError

    def _computations_of_key(
        self, name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
        return [metric_types.MetricComputation(keys_of(key), None, ByValue(self, key, eval_config, example_weighted))]


class BatchedAveragePrecision(_OfValues):
    """Mean precision over the recall, without interpolation. The report adds the interval."""

    @staticmethod
    def value(rows: Rows) -> np.ndarray:
        """The prediction."""
        return rows.predictions.astype(np.float64)

    def result(self, found: Buckets) -> tuple[float, Interval | None]:
        """The sum of the precision at each prediction, by the recall that it adds, or NaN without positive rows."""
        weights, _, positives = found.sums[:, ::-1]
        if not positives.sum() > 0:
            return math.nan, None
        return float((np.cumsum(positives) / np.cumsum(weights)) @ positives / positives.sum()), None


class BatchedAbsoluteErrorQuantile(_OfValues):
    """A quantile of the absolute errors."""

    def __init__(self, name: str, quantile: float) -> None:
        """Creates the metric.

        Args:
            name: Name of the metric.
            quantile: Fraction of the rows whose error is at most the quantile.
        """
        self._quantile = quantile
        super().__init__(name)

    @staticmethod
    def value(rows: Rows) -> np.ndarray:
        """The absolute error."""
        return np.abs(rows.labels - rows.predictions.astype(np.float64))

    def result(self, found: Buckets) -> tuple[float, Interval | None]:
        """The quantile. Its interval is between the quantiles that its rank can have by chance."""
        weights, squares, _ = found.sums
        rows = weights.sum() ** 2 / squares.sum()
        half = Z * math.sqrt(self._quantile * (1 - self._quantile) / rows)
        ends = (self._quantile - half, self._quantile + half)
        value, *bounds = (quantile(found.ids, weights, each) for each in (self._quantile, *ends))
        return value, Interval(*bounds) if ends[0] > 0 and ends[1] < 1 else None


def quantile(values: np.ndarray, weights: np.ndarray, fraction: float) -> float:
    """The smallest value with at least a fraction of the weight at or below it, or the middle of two if it is exact.

    Args:
        values: float64 [N], sorted.
        weights: float64 [N], above 0.
        fraction: 0 .. 1.

    >>> quantile(np.array([1.0, 2.0, 3.0, 9.0]), np.ones(4), 0.5)
    2.5
    """
    sums = np.cumsum(weights)
    target = fraction * sums[-1]
    place = min(int(np.searchsorted(sums, target * (1 - 1e-12))), len(values) - 1)
    if math.isclose(sums[place], target, rel_tol=1e-12) and place + 1 < len(values):
        return float((values[place] + values[place + 1]) / 2)
    return float(values[place])
