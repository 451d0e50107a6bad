"""TFMA's metrics by their names, computed of a slice's rows together; ``module`` of a metric in an EvalConfig."""

from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
import tf_keras as keras
from scipy.special import xlog1py, xlogy
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from custom_components.batched_evaluator.combiners import Count, Mean, RowValues, by_column


class _ByColumn:
    """Mixed into one of TFMA's metrics: what it derives of its sums is kept, how they are added up is not."""

    def computations(self, *args: Any, **kwargs: Any) -> metric_types.MetricComputations:
        """TFMA's computations, with combiners that take a slice's rows together."""
        found: metric_types.MetricComputations = super().computations(*args, **kwargs)  # type: ignore[misc]
        return [
            each._replace(combiner=by_column(each.combiner))
            if isinstance(each, metric_types.MetricComputation)
            else each
            for each in found
        ]


class BatchedAUC(_ByColumn, tfma.metrics.AUC):
    """Area under the ROC curve."""


class BatchedAUCPrecisionRecall(_ByColumn, tfma.metrics.AUCPrecisionRecall):
    """Area under the precision-recall curve."""


class BatchedBinaryAccuracy(_ByColumn, tfma.metrics.BinaryAccuracy):
    """Share of the rows on the right side of 0.5."""


class BatchedPrecision(_ByColumn, tfma.metrics.Precision):
    """Share of the rows above 0.5 that are positive."""


class BatchedRecall(_ByColumn, tfma.metrics.Recall):
    """Share of the positive rows that are above 0.5."""


class BatchedCalibration(_ByColumn, tfma.metrics.Calibration):
    """Mean prediction over mean label."""


class BatchedMeanLabel(_ByColumn, tfma.metrics.MeanLabel):
    """Mean label."""


class BatchedMeanPrediction(_ByColumn, tfma.metrics.MeanPrediction):
    """Mean prediction."""


class BatchedCalibrationPlot(_ByColumn, tfma.metrics.CalibrationPlot):
    """Labels and predictions by bucket of the prediction."""


class BatchedMultiClassConfusionMatrixPlot(_ByColumn, tfma.metrics.MultiClassConfusionMatrixPlot):
    """Rows by actual and predicted class."""


class _MeanOfRows(metric_types.Metric):
    """The mean of a number a row; ``values`` gives it. As in TFMA, errors of regressions skip rows that have none."""

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
    """Negative logarithm of the probability that was given to the label."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The loss of each row; infinite where the truth was held impossible, NaN where there is no probability."""
        predictions = np.where((predictions >= 0) & (predictions <= 1), predictions.astype(np.float64), np.nan)
        return -(xlogy(labels, predictions) + xlog1py(1 - labels, -predictions))


class BatchedSparseCategoricalCrossentropy(_MeanOfRows):
    """Negative logarithm of the probability that was given to the label's class."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The loss of each row, as Keras computes it."""
        return keras.losses.sparse_categorical_crossentropy(labels, predictions).numpy().astype(np.float64)


class BatchedSparseCategoricalAccuracy(_MeanOfRows):
    """Share of the rows whose most probable class is the label's."""

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """1 where it is, else 0."""
        return (predictions.argmax(axis=1) == labels).astype(np.float64)


class BatchedMeanSquaredError(_MeanOfRows):
    """Mean of the squared errors."""

    skips_nan = True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The squared error of each row."""
        return np.square(labels - predictions)


class BatchedMeanAbsoluteError(_MeanOfRows):
    """Mean of the errors' sizes."""

    skips_nan = True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The size of the error of each row."""
        return np.abs(labels - predictions)


class BatchedMeanAbsolutePercentageError(_MeanOfRows):
    """Mean of the errors' sizes in per cent of the label, of rows whose label is not 0."""

    skips_nan = True

    @staticmethod
    def values(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The size of the error of each row, in per cent; NaN where the label is 0."""
        return 100 * np.abs(labels - predictions) / np.abs(np.where(labels == 0, np.nan, labels))


class BatchedExampleCount(metric_types.Metric):
    """Number, or weight, of the rows."""

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
