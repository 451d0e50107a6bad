"""Metrics that are ratios of two sums over the rows: R² and calibration."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from common.intervals import Interval, Z
from custom_components.batched_evaluator.combiners import rows_of
from custom_components.batched_evaluator.row_means import keys_of, with_interval


class Moments(NamedTuple):
    """Sums over rows with a label y, an error e and a weight w. Differences d = y - center.

    Attributes:
        center: A number near the labels, which keeps the differences accurate.
        error: Sum of w e².
        fourth: Sum of w² e⁴.
        weights: Sums of w, w d, w d²: float64 [3].
        squares: Sums of w², w² d, …, w² d⁴: float64 [5].
        mixed: Sums of w² e², w² e² d, w² e² d²: float64 [3].
    """

    center: float
    error: float
    fourth: float
    weights: np.ndarray
    squares: np.ndarray
    mixed: np.ndarray

    def centered(self, center: float) -> "Moments":
        """The same sums about another center."""
        shift = self.center - center
        moved = (_shifted(each, shift) for each in (self.weights, self.squares, self.mixed))
        return Moments(center, self.error, self.fourth, *moved)


class RSquaredMoments(beam.CombineFn):
    """Moments of labels and errors, for R²."""

    def __init__(
        self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None, example_weighted: bool
    ) -> None:
        """Creates the combiner.

        Args:
            key: Key of the result.
            eval_config: Specifies which outputs are labels and predictions.
            example_weighted: Whether examples have weights.
        """
        self._key, self._eval_config, self._example_weighted = key, eval_config, example_weighted

    def create_accumulator(self) -> Moments | None:
        """Zero rows."""
        return None

    def add_input(self, accumulator: Moments | None, element: metric_types.StandardMetricInputs) -> Moments | None:
        """Adds rows with a weight, except those with NaN."""
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        errors = np.square(rows.labels - rows.predictions.astype(np.float64))
        known = (rows.weights > 0) & ~np.isnan(errors)
        if not known.any():
            return accumulator
        labels, errors, weights = rows.labels[known], errors[known], rows.weights[known]
        center = float(np.median(labels))  # exactly the label if all are the same
        squares, powers = np.square(weights), np.vander(labels - center, 5, increasing=True)
        found = Moments(
            center,
            float(errors @ weights),
            float(np.square(errors) @ squares),
            weights @ powers[:, :3],
            squares @ powers,
            (squares * errors) @ powers[:, :3],
        )
        return self.merge_accumulators([accumulator, found])

    def merge_accumulators(self, accumulators: Iterable[Moments | None]) -> Moments | None:
        """The moments of all accumulators."""
        merged = None
        for each in accumulators:
            if merged is None or each is None:
                merged = merged or each
                continue
            other = each.centered(merged.center)
            merged = Moments(
                merged.center,
                merged.error + other.error,
                merged.fourth + other.fourth,
                merged.weights + other.weights,
                merged.squares + other.squares,
                merged.mixed + other.mixed,
            )
        return merged

    def extract_output(self, accumulator: Moments | None) -> metric_types.MetricsDict:
        """R² and its interval, or NaN if there are no rows or all labels are the same."""
        return with_interval(self._key, *(r_squared(accumulator) if accumulator else (math.nan, None)))


def r_squared(moments: Moments) -> tuple[float, Interval | None]:
    """R² and its 95% interval: the delta method, on the logarithmic scale of 1 - R²."""
    about_mean = moments.centered(moments.center + float(moments.weights[1] / moments.weights[0]))
    spread = float(about_mean.weights[2])
    if not spread > 0:
        return math.nan, None
    unexplained = moments.error / spread
    if not (math.isfinite(unexplained) and unexplained > 0):
        return 1 - unexplained, None
    rows = float(moments.weights[0] ** 2 / moments.squares[0])
    variance = float(
        moments.fourth / moments.error**2
        - 2 * about_mean.mixed[2] / (moments.error * spread)
        + about_mean.squares[4] / spread**2
    )
    found = _of_ratio(unexplained, variance, rows)
    return 1 - unexplained, Interval(1 - found.high, 1 - found.low) if found else None


class Calibration(beam.CombineFn):
    """Mean prediction divided by mean label.

    Accumulators are float64 [7]: the sums of w y, w p, w², w² y², w² y p, w² p² and w over rows with a label y, a
    prediction p and a weight w.
    """

    def __init__(
        self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None, example_weighted: bool
    ) -> None:
        """Creates the combiner. See :class:`RSquaredMoments`."""
        self._key, self._eval_config, self._example_weighted = key, eval_config, example_weighted

    def create_accumulator(self) -> np.ndarray:
        """Zero rows."""
        return np.zeros(7)

    def add_input(self, accumulator: np.ndarray, element: metric_types.StandardMetricInputs) -> np.ndarray:
        """Adds rows."""
        rows = rows_of(element, self._key, self._eval_config, self._example_weighted)
        weights, squares, label, prediction = (
            rows.weights,
            np.square(rows.weights),
            rows.labels,
            rows.predictions.astype(np.float64),
        )
        sums = (
            label @ weights,
            prediction @ weights,
            squares.sum(),
            label**2 @ squares,
            label * prediction @ squares,
            prediction**2 @ squares,
            weights.sum(),
        )
        return accumulator + np.array(sums)

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        """The sums of all accumulators."""
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> metric_types.MetricsDict:
        """The ratio and its interval, or NaN if the labels sum to 0."""
        label, prediction, squares, labels, mixed, predictions, weight = map(float, accumulator)
        if not label:
            return with_interval(self._key, math.nan, None)
        ratio, interval = prediction / label, None
        if prediction:
            variance = labels / label**2 - 2 * mixed / (label * prediction) + predictions / prediction**2
            interval = _of_ratio(ratio, variance, weight**2 / squares)
        return with_interval(self._key, ratio, interval)


class BatchedCalibration(metric_types.Metric):
    """Mean prediction divided by mean label."""

    def __init__(self, name: str) -> None:
        """Names the metric."""
        super().__init__(metric_util.merge_per_key_computations(_calibration), name=name)


class BatchedRSquared(metric_types.Metric):
    """Fraction of the label's variance that the predictions explain."""

    def __init__(self, name: str) -> None:
        """Names the metric."""
        super().__init__(metric_util.merge_per_key_computations(_r_squared), name=name)


def _r_squared(
    name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
    return [metric_types.MetricComputation(keys_of(key), None, RSquaredMoments(key, eval_config, example_weighted))]


def _calibration(
    name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
    return [metric_types.MetricComputation(keys_of(key), None, Calibration(key, eval_config, example_weighted))]


def _of_ratio(ratio: float, variance: float, rows: float) -> Interval | None:
    """95% interval of a ratio, on the logarithmic scale, from the variance of its logarithm (the delta method)."""
    if rows <= 2 or not math.isfinite(variance):
        return None
    factor = math.exp(min(Z * math.sqrt(max(variance, 0.0) * rows / (rows - 2)), 700.0))
    return Interval(*sorted((ratio / factor, ratio * factor)))


def _shifted(sums: Sequence[float] | np.ndarray, shift: float) -> np.ndarray:
    """Sums of the powers of d + shift, given those of d."""
    return np.array(
        [
            sum(math.comb(power, of) * shift ** (power - of) * float(sums[of]) for of in range(power + 1))
            for power in range(len(sums))
        ]
    )
