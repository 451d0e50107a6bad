"""TFMA's metrics, computed for all rows of a slice at once. The ``module`` of the metrics in an EvalConfig."""

from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
import tf_keras as keras
from scipy.special import xlog1py, xlogy
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from custom_components.batched_evaluator.combiners import Count, Mean, RowValues, batched_combiner


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


class BatchedAUC(_Batched, tfma.metrics.AUC):
    """Area under the ROC curve."""


class BatchedAUCPrecisionRecall(_Batched, tfma.metrics.AUCPrecisionRecall):
    """Area under the precision-recall curve."""


class BatchedBinaryAccuracy(_Batched, tfma.metrics.BinaryAccuracy):
    """Fraction of the rows whose prediction is on the correct side of 0.5."""


class BatchedPrecision(_Batched, tfma.metrics.Precision):
    """Fraction of the rows with a prediction above 0.5 that are positive."""


class BatchedRecall(_Batched, tfma.metrics.Recall):
    """Fraction of the positive rows with a prediction above 0.5."""


class BatchedCalibration(_Batched, tfma.metrics.Calibration):
    """Mean prediction divided by mean label."""


class BatchedMeanLabel(_Batched, tfma.metrics.MeanLabel):
    """Mean label."""


class BatchedMeanPrediction(_Batched, tfma.metrics.MeanPrediction):
    """Mean prediction."""


class BatchedCalibrationPlot(_Batched, tfma.metrics.CalibrationPlot):
    """Labels and predictions by bucket of the prediction."""


class BatchedMultiClassConfusionMatrixPlot(_Batched, tfma.metrics.MultiClassConfusionMatrixPlot):
    """Rows by actual and predicted class."""


class _MeanOfRows(metric_types.Metric):
    """The mean of one number per row, computed by ``values``. As in TFMA, regression errors skip rows with NaN."""

    values: RowValues
    skips_nan = False

    def __init__(self, name: str) -> None:
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    def _computations_of_key(
        self, name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
        mean = Mean(type(self).values, key, eval_config, example_weighted, self.skips_nan)
        return [metric_types.MetricComputation([key], None, mean)]


class BatchedBinaryCrossEntropy(_MeanOfRows):
    """Negative logarithm of the predicted probability of the label."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The loss of each row: infinite for a probability of 0, and NaN if the prediction is not a probability."""
        predictions = np.where((predictions >= 0) & (predictions <= 1), predictions.astype(np.float64), np.nan)
        return -(xlogy(labels, predictions) + xlog1py(1 - labels, -predictions))


class BatchedSparseCategoricalCrossentropy(_MeanOfRows):
    """Negative logarithm of the predicted probability of the label's class."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The loss of each row, as Keras computes it."""
        return keras.losses.sparse_categorical_crossentropy(labels, predictions).numpy().astype(np.float64)


class BatchedSparseCategoricalAccuracy(_MeanOfRows):
    """Fraction of the rows whose most probable class is the label's."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """1 if the most probable class is the label's, else 0."""
        return (predictions.argmax(axis=1) == labels).astype(np.float64)


class BatchedMeanSquaredError(_MeanOfRows):
    """Mean of the squared errors."""

    skips_nan = True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The squared error of each row."""
        return np.square(labels - predictions)


class BatchedMeanAbsoluteError(_MeanOfRows):
    """Mean of the absolute errors."""

    skips_nan = True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The absolute error of each row."""
        return np.abs(labels - predictions)


class BatchedMeanAbsolutePercentageError(_MeanOfRows):
    """Mean of the absolute errors in percent of the label, over rows whose label is not 0."""

    skips_nan = True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The absolute error of each row in percent of the label, or NaN if the label is 0."""
        return 100 * np.abs(labels - predictions) / np.abs(np.where(labels == 0, np.nan, labels))


class BatchedExampleCount(metric_types.Metric):
    """Number of rows, or sum of their weights."""

    def __init__(self, name: str) -> None:
        """Names the metric."""
        super().__init__(metric_util.merge_per_key_computations(_example_count), name=name)


def _example_count(
    name: str, model_name: str, output_name: str, example_weighted: bool
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
    only_weights = metric_types.StandardMetricInputsPreprocessor(
        include_filter={constants.EXAMPLE_WEIGHTS_KEY: {}}, include_default_inputs=False
    )
    return [metric_types.MetricComputation([key], [only_weights], Count(key, example_weighted))]
