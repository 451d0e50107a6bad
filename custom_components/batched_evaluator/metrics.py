"""Metrics and plots for all rows of a slice at once: areas under curves, and means of one number per row."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
import tf_keras as keras
from scipy.special import xlog1py, xlogy
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from custom_components.batched_evaluator.class_metrics import predicted_classes
from custom_components.batched_evaluator.combiners import Count, batched_combiner
from custom_components.batched_evaluator.row_means import MeanOfRows


class _Batched:
    """Mixin for TFMA's metrics that replaces their combiners."""

    def computations(self, *args: Any, **kwargs: Any) -> metric_types.MetricComputations:
        """TFMA's computations, with combiners that process all rows of a slice at once."""
        found: metric_types.MetricComputations = super().computations(*args, **kwargs)  # type: ignore[misc]
        return [
            each._replace(combiner=batched_combiner(each.combiner))
            if isinstance(each, metric_types.MetricComputation)
            else each
            for each in found
        ]


class _Area(_Batched):
    """Mixin for an area under a curve. TFMA returns 0 for it if all rows have the same class."""

    def _metric_value(self, matrices: Any, **kwargs: Any) -> float:
        """The area, or NaN without rows of both classes."""
        if matrices.tp[0] + matrices.fn[0] > 0 and matrices.fp[0] + matrices.tn[0] > 0:
            return float(super()._metric_value(matrices=matrices, **kwargs))  # type: ignore[misc]
        return math.nan


class BatchedAUC(_Area, tfma.metrics.AUC):
    """Area under the ROC curve."""


class BatchedAUCPrecisionRecall(_Area, tfma.metrics.AUCPrecisionRecall):
    """Area under the precision-recall curve."""


class BatchedCalibrationPlot(_Batched, tfma.metrics.CalibrationPlot):
    """Labels and predictions by bucket of the prediction."""


class BatchedMultiClassConfusionMatrixPlot(_Batched, tfma.metrics.MultiClassConfusionMatrixPlot):
    """Rows by actual and predicted class."""


class BatchedBinaryCrossEntropy(MeanOfRows):
    """Negative logarithm of the predicted probability of the label."""

    scale = "positive"

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The loss of each row: infinite for a probability of 0, and NaN if the prediction is not a probability."""
        predictions = np.where((predictions >= 0) & (predictions <= 1), predictions.astype(np.float64), np.nan)
        return -(xlogy(labels, predictions) + xlog1py(1 - labels, -predictions))


class BatchedSparseCategoricalCrossentropy(MeanOfRows):
    """Negative logarithm of the predicted probability of the label's class."""

    scale = "positive"

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The loss of each row, as Keras computes it."""
        return keras.losses.sparse_categorical_crossentropy(labels, predictions).numpy().astype(np.float64)


class BatchedBrierScore(MeanOfRows):
    """Mean squared error of the predicted probabilities: Brier, Monthly Weather Review 78 (1950).

    For two classes, that of the probability of class 1. For more, the sum over all classes.
    """

    scale = "positive"

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The squared error of each row."""
        if predictions.ndim == 1:
            return np.square(labels - predictions.astype(np.float64))
        actual = labels[:, np.newaxis] == np.arange(predictions.shape[1])
        return np.square(actual - predictions.astype(np.float64)).sum(axis=1)


class BatchedAccuracy(MeanOfRows):
    """Fraction of the rows that are predicted to be of their class."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """1 if the predicted class is the label's, else 0."""
        return (predicted_classes(predictions) == labels).astype(np.float64)


class BatchedTopKAccuracy(MeanOfRows):
    """Fraction of the rows whose class is among the k most probable ones."""

    def __init__(self, name: str, k: int) -> None:
        """Creates the metric.

        Args:
            name: Name of the metric.
            k: Number of classes.
        """
        self._k = k
        super().__init__(name)

    def values(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """1 if fewer than k classes rank above the label's, else 0. Of equal ones, the last ranks highest."""
        known = (labels >= 0) & (labels < predictions.shape[1])
        own = np.where(known, labels, 0).astype(np.int64)
        score = np.take_along_axis(predictions, own[:, np.newaxis], axis=1)
        later = (predictions == score) & (np.arange(predictions.shape[1]) > own[:, np.newaxis])
        rank = ((predictions > score) | later).sum(axis=1)
        return (known & (rank < self._k) & ~np.isnan(score[:, 0])).astype(np.float64)


class BatchedExpectedCost(MeanOfRows):
    """Mean cost of the predicted class, or of the class that the predicted probabilities make the cheapest."""

    scale = "real"
    skips_nan = True

    def __init__(self, name: str, costs: Sequence[Sequence[float]], optimal: bool = False) -> None:
        """Creates the metric.

        Args:
            name: Name of the metric.
            costs: ``costs[actual][predicted]``, the cost of a row.
            optimal: Whether the class with the lowest expected cost is chosen instead of the most probable one.
        """
        self._costs, self._optimal = np.array(costs, np.float64), optimal
        super().__init__(name)

    def values(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The cost of each row, or NaN for an unknown class."""
        known = (labels >= 0) & (labels < len(self._costs))
        chosen = self._cheapest(predictions) if self._optimal else predicted_classes(predictions)
        return np.where(known, self._costs[np.where(known, labels, 0).astype(np.int64), chosen], np.nan)

    def _cheapest(self, predictions: np.ndarray) -> np.ndarray:
        """The class of each row with the lowest expected cost: Elkan, IJCAI (2001)."""
        of_class_1 = predictions.astype(np.float64)
        probabilities = np.stack([1 - of_class_1, of_class_1], axis=1) if predictions.ndim == 1 else of_class_1
        return np.argmin(probabilities @ self._costs, axis=1)


class BatchedMeanSquaredError(MeanOfRows):
    """Mean of the squared errors."""

    scale, skips_nan = "positive", True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The squared error of each row."""
        return np.square(labels - predictions)


class BatchedRootMeanSquaredError(BatchedMeanSquaredError):
    """Square root of the mean of the squared errors."""

    @staticmethod
    def finish(mean: float) -> float:
        """The square root."""
        return math.sqrt(mean)


class BatchedMeanAbsoluteError(MeanOfRows):
    """Mean of the absolute errors."""

    scale, skips_nan = "positive", True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The absolute error of each row."""
        return np.abs(labels - predictions)


class BatchedMeanAbsolutePercentageError(MeanOfRows):
    """Mean of the absolute errors in percent of the label, over rows whose label is not 0."""

    scale, skips_nan = "positive", True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The absolute error of each row in percent of the label, or NaN if the label is 0."""
        return 100 * np.abs(labels - predictions) / np.abs(np.where(labels == 0, np.nan, labels))


class BatchedMeanLabel(MeanOfRows):
    """Mean label."""

    scale = "real"

    @staticmethod
    def values(labels: np.ndarray, _predictions: np.ndarray) -> np.ndarray:
        """The labels."""
        return labels


class BatchedMeanPrediction(MeanOfRows):
    """Mean prediction."""

    scale = "real"

    @staticmethod
    def values(_labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The predictions."""
        return predictions.astype(np.float64)


class BatchedExampleCount(metric_types.Metric):
    """Number of rows, or sum of their weights."""

    def __init__(self, name: str, effective: bool = False) -> None:
        """Creates the metric.

        Args:
            name: Name of the metric.
            effective: Whether to count how many rows of equal weight vary as little.
        """
        self._effective = effective
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    def _computations_of_key(
        self, name: str, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
        only_weights = metric_types.StandardMetricInputsPreprocessor(
            include_filter={constants.EXAMPLE_WEIGHTS_KEY: {}}, include_default_inputs=False
        )
        return [metric_types.MetricComputation([key], [only_weights], Count(key, example_weighted, self._effective))]
