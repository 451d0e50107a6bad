"""Metrics that are means of one number per row, with their intervals."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import numpy as np
from scipy.special import stdtrit
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from artifacts.names import HIGH, LOW
from common.intervals import Interval, wilson
from custom_components.batched_evaluator.combiners import rows_of

RowValues = Callable[[np.ndarray, np.ndarray], np.ndarray]
# What the numbers of rows can be: 0 or 1, at least 0, or any number.
Scale = Literal["fraction", "positive", "real"]
UNKNOWN = Interval(math.nan, math.nan)


class Sums(NamedTuple):
    """Sums over rows with a value v and a weight w.

    Attributes:
        total: Sum of w v.
        weight: Sum of w.
        squares: Sum of w².
        center: A number near the values, which keeps the differences below accurate.
        first: Sum of w² (v - center).
        second: Sum of w² (v - center)².
    """

    total: float = 0.0
    weight: float = 0.0
    squares: float = 0.0
    center: float = 0.0
    first: float = 0.0
    second: float = 0.0

    @property
    def mean(self) -> float:
        """The weighted mean, or NaN if there are no rows."""
        return self.total / self.weight if self.weight else math.nan

    def centered(self, center: float) -> "Sums":
        """The same sums about another center."""
        shift = self.center - center
        first = self.first + shift * self.squares
        return self._replace(center=center, first=first, second=self.second + shift * (self.first + first))

    def interval(self, scale: Scale) -> Interval:
        """The 95% interval of the mean, or NaN if it is not known.

        Wilson's for fractions, with the number of rows that would have the same variance. Otherwise Student's, for
        positive values on the logarithmic scale, since most errors and losses are small and a few are large.
        """
        if not self.squares > 0:
            return UNKNOWN
        mean, rows = self.mean, self.weight**2 / self.squares  # effective rows: Kish, Survey Sampling (1965)
        variance = self.centered(mean).second / self.weight**2
        if not (math.isfinite(mean) and math.isfinite(variance)):
            return UNKNOWN
        if scale == "fraction":
            return wilson(mean, mean * (1 - mean) / variance if variance > 0 else rows) or UNKNOWN
        if rows < 2:
            return UNKNOWN
        half = float(stdtrit(rows - 1, 0.975)) * math.sqrt(max(variance, 0.0) * rows / (rows - 1))
        if scale == "real":
            return Interval(mean - half, mean + half)
        factor = math.exp(min(half / mean, 700.0)) if mean > 0 else math.nan
        return Interval(mean / factor, mean * factor)


def sums_of(values: np.ndarray, weights: np.ndarray) -> Sums:
    """The sums of some rows: values and weights, float64 [N]."""
    weight = float(weights.sum())
    if not weight:
        return Sums()
    total = float(values @ weights)
    center = total / weight
    with np.errstate(invalid="ignore"):  # an infinite loss
        differences, squares = values - center, np.square(weights)
        return Sums(
            total, weight, float(squares.sum()), center, float(squares @ differences), float(squares @ differences**2)
        )


class Mean(beam.CombineFn):
    """Weighted mean of one number per row, with its interval."""

    def __init__(
        self,
        metric: "MeanOfRows",
        key: metric_types.MetricKey,
        eval_config: config_pb2.EvalConfig | None,
        example_weighted: bool,
    ) -> None:
        """Creates the combiner.

        Args:
            metric: The metric.
            key: Key of the result.
            eval_config: Specifies which outputs are labels and predictions.
            example_weighted: Whether examples have weights.
        """
        self._values, self._finish = metric.values, metric.finish
        self._scale, self._skips_nan = metric.scale, metric.skips_nan
        self._key, self._eval_config, self._example_weighted = key, eval_config, example_weighted

    def create_accumulator(self) -> Sums:
        """The sums of no rows."""
        return Sums()

    def add_input(self, accumulator: Sums, element: metric_types.StandardMetricInputs) -> Sums:
        """Adds rows."""
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        values = self._values(rows.labels, rows.predictions)
        known = ~np.isnan(values) | (not self._skips_nan)
        return self.merge_accumulators([accumulator, sums_of(values[known], rows.weights[known])])

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        """The sums of all accumulators."""
        merged = Sums()
        for each in accumulators:
            if not merged.weight:
                merged = each
            elif each.weight:
                other = each.centered(merged.center)
                added = [one + two for one, two in zip(merged, other, strict=True)]
                merged = Sums(*added)._replace(center=merged.center)
        return merged

    def extract_output(self, accumulator: Sums) -> metric_types.MetricsDict:
        """The mean and its interval, or NaN if there are no rows."""
        return with_interval(
            self._key, self._finish(accumulator.mean), Interval(*map(self._finish, accumulator.interval(self._scale)))
        )


class MeanOfRows(metric_types.Metric):
    """The mean of one number per row, computed by ``values``. As in TFMA, regression errors skip rows with NaN.

    Attributes:
        values: Function of labels [N] and predictions [N] or [N, classes] that returns float64 [N].
        scale: What the numbers can be, which decides about the interval.
        skips_nan: Whether rows with NaN are left out.
    """

    values: RowValues
    scale: Scale = "fraction"
    skips_nan = False

    def __init__(self, name: str) -> None:
        """Names the metric."""
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    @staticmethod
    def finish(mean: float) -> float:
        """What the metric is, given the mean: a function that increases."""
        return mean

    def _computations_of_key(
        self, name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
        return [metric_types.MetricComputation(keys_of(key), None, Mean(self, key, eval_config, example_weighted))]


def keys_of(key: metric_types.MetricKey) -> list[metric_types.MetricKey]:
    """The keys of a metric and of the bounds of its interval."""
    return [key, key._replace(name=f"{key.name}/{LOW}"), key._replace(name=f"{key.name}/{HIGH}")]


def with_interval(
    key: metric_types.MetricKey, value: float, interval: Interval | None
) -> dict[metric_types.MetricKey, float]:
    """The values of :func:`keys_of`. Those of an unknown interval, or of an undefined value, are NaN."""
    known = interval if interval and math.isfinite(value) else UNKNOWN
    return dict(zip(keys_of(key), (value, *known), strict=True))
