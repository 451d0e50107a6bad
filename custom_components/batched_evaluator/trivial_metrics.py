"""The metrics of the trivial model, and how much better the evaluated model is.

The trivial model predicts the same for every row. Its metrics are computed like the model's, for the same slices and
with the same weights.
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from artifacts.names import TRIVIAL
from artifacts.thresholds import gain


class OfConstant(beam.CombineFn):
    """A metric of a model that predicts the same for every row. Runs all computations of the metric on its own."""

    def __init__(
        self,
        computations: metric_types.MetricComputations,
        prediction: Sequence[float],
        key: metric_types.MetricKey,
        result: metric_types.MetricKey,
    ) -> None:
        """Creates the combiner.

        Args:
            computations: The computations of the metric.
            prediction: The prediction for each row.
            key: Key of the metric.
            result: Key of the result.
        """
        self._combiners = [each.combiner for each in computations if isinstance(each, metric_types.MetricComputation)]
        self._derived = [each for each in computations if isinstance(each, metric_types.DerivedMetricComputation)]
        self._prediction = np.array(prediction, np.float64)
        self._key, self._result = key, result

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Prepares the combiners of the metric."""
        for each in self._combiners:
            each.setup(*args, **kwargs)

    def create_accumulator(self) -> list[Any]:
        """One accumulator for each combiner of the metric."""
        return [each.create_accumulator() for each in self._combiners]

    def add_input(self, accumulator: list[Any], element: metric_types.StandardMetricInputs) -> list[Any]:
        """Adds rows, with other predictions."""
        predictions = _same_for_all(element[constants.PREDICTIONS_KEY], self._prediction)
        changed = metric_types.StandardMetricInputs({**element, constants.PREDICTIONS_KEY: predictions})
        return [each.add_input(part, changed) for each, part in zip(self._combiners, accumulator, strict=True)]

    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        """Merges the accumulators of each combiner."""
        parts = zip(*accumulators, strict=True)
        return [each.merge_accumulators(several) for each, several in zip(self._combiners, parts, strict=True)]

    def extract_output(self, accumulator: list[Any]) -> metric_types.MetricsDict:
        """The metric, by the key of the result."""
        found: dict[Any, Any] = {}
        for each, part in zip(self._combiners, accumulator, strict=True):
            found |= each.extract_output(part)
        for derived in self._derived:
            found |= derived.result(found)
        return {self._result: float(found[self._key])}


class BatchedGain(metric_types.Metric):
    """The gain of a metric over the trivial model's, and the trivial model's metric."""

    def __init__(
        self,
        name: str,
        metric: Mapping[str, Any],
        prediction: Sequence[float] = (),
        fit: Mapping[str, Any] | None = None,  # noqa: ARG002 - the executor reads it
    ) -> None:
        """Creates the metric.

        Args:
            name: Name of the gain. The trivial model's metric is named by the metric.
            metric: The metric, which the same configuration must compute, too: its ``module``, ``class`` and
                ``settings``, with its name.
            prediction: The trivial model's prediction for any row: the probability of class 1, of each class, or a
                value. :mod:`.executor` sets it in place of ``fit``.
            fit: What the trivial model is to be fitted to, a :class:`.trivial_settings.TrivialSettings`.
        """
        kind = getattr(importlib.import_module(metric["module"]), metric["class"])
        self._metric: metric_types.Metric = kind(**metric["settings"])
        self._prediction = tuple(prediction)
        super().__init__(metric_util.merge_per_key_computations(self._computations_of_key), name=name)

    def _computations_of_key(
        self, name: str, eval_config: Any, model_name: str, output_name: str, example_weighted: bool
    ) -> metric_types.MetricComputations:
        metric = self._metric.name
        if not self._prediction:
            raise ValueError(f"{name}: found no prediction of the trivial model; expected that of the train split")
        value, trivial, result = (
            metric_types.MetricKey(each, model_name, output_name, example_weighted=example_weighted)
            for each in (metric, f"{metric}/{TRIVIAL}", name)
        )
        computations = self._metric.computations(
            eval_config=eval_config,
            model_names=[model_name],
            output_names=[output_name],
            example_weighted=example_weighted,
        )

        def derive(found: Mapping[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
            return {result: gain(metric, float(found[value]), float(found[trivial]))}

        return [
            metric_types.MetricComputation([trivial], None, OfConstant(computations, self._prediction, value, trivial)),
            metric_types.DerivedMetricComputation([result], derive),
        ]


def _same_for_all(predictions: Any, constant: np.ndarray) -> Any:
    """Predictions of one or several models, replaced by a constant: [N, 1] or [N, C]."""
    if isinstance(predictions, Mapping):
        return {name: _same_for_all(each, constant) for name, each in predictions.items()}
    return np.tile(constant, (len(predictions), 1))
