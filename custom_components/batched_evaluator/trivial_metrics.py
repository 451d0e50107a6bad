"""The metrics of the trivial model, and how much better the evaluated model is.

The trivial model predicts the same for every row. Its metrics are computed with the model's, for the same slices and
with the same weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util

from artifacts.names import TRIVIAL
from artifacts.thresholds import gain
from custom_components.batched_evaluator import metrics
from custom_components.batched_evaluator.combiners import Mean, RowValues


class BatchedGain(metric_types.Metric):
    """The gain of a metric over the trivial model's, and the trivial model's metric."""

    def __init__(
        self,
        name: str,
        metric: str,
        task: str,
        prediction: Sequence[float] = (),
        fit: Mapping[str, Any] | None = None,  # noqa: ARG002 - the executor reads it
    ) -> None:
        """Creates the metric.

        Args:
            name: Name of the gain. The trivial model's metric is named by the metric.
            metric: Name of the metric, which the same configuration must compute, too.
            task: ``binary``, ``multiclass`` or ``regression``.
            prediction: The trivial model's prediction for any row: the probability of class 1, of each class, or a
                value. :mod:`.executor` sets it in place of ``fit``.
            fit: What the trivial model is to be fitted to, a :class:`.trivial_settings.TrivialSettings`.
        """
        self._metric, self._task, self._prediction = metric, task, tuple(prediction)
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    def _computations_of_key(
        self, name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        metric = self._metric
        if not self._prediction:
            raise ValueError(f"{name}: found no prediction of the trivial model; expected that of the train split")
        keys = (
            metric_types.MetricKey(each, model_name, output_name, example_weighted=example_weighted)
            for each in (metric, f"{metric}/{TRIVIAL}", name)
        )
        value, trivial, result = keys
        values = row_values(metric, self._task, self._prediction)
        mean = Mean(values, trivial, eval_config, example_weighted, skips_nan=self._task == "regression")

        def derive(found: Mapping[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
            return {result: gain(metric, float(found[value]), float(found[trivial]))}

        return [
            metric_types.MetricComputation([trivial], None, mean),
            metric_types.DerivedMetricComputation([result], derive),
        ]


def row_values(metric: str, task: str, prediction: Sequence[float]) -> RowValues:
    """A function of the rows whose mean is the trivial model's metric.

    The AUC of constant predictions is 0.5, and their area under the precision-recall curve is the fraction of
    positive rows.
    """
    constant = np.array(prediction, np.float64)

    def values(labels: np.ndarray, _predictions: np.ndarray) -> np.ndarray:
        same = np.tile(constant, (len(labels), 1)) if task == "multiclass" else np.full(len(labels), constant[0])
        match metric, task:
            case "auc", _:
                return np.full(len(labels), 0.5)
            case "pr_auc", _:
                return labels
            case "accuracy", "binary":
                return ((same > 0.5) == (labels > 0.5)).astype(np.float64)
            case _:
                return BY_NAME[metric, task].values(labels, same)

    return values


BY_NAME: Mapping[tuple[str, str], Any] = {
    ("loss", "binary"): metrics.BatchedBinaryCrossEntropy,
    ("accuracy", "multiclass"): metrics.BatchedSparseCategoricalAccuracy,
    ("loss", "multiclass"): metrics.BatchedSparseCategoricalCrossentropy,
    ("mse", "regression"): metrics.BatchedMeanSquaredError,
    ("mae", "regression"): metrics.BatchedMeanAbsoluteError,
    ("mape", "regression"): metrics.BatchedMeanAbsolutePercentageError,
}
