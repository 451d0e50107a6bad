"""Computes metrics of the Evaluator without a pipeline."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics.metric_types import MetricComputation, MetricKey, StandardMetricInputs

from models.problem.problem import Task
from pipeline.config.metrics import find_metric


def metric_of(task: Task, name: str, classes: Sequence[str] = (), **settings: Any) -> Any:
    """A metric as the Evaluator creates it."""
    found = find_metric(task, name, classes)
    kind = getattr(importlib.import_module(found.module), f"Batched{found.class_name}")
    return kind(name=name, **found.settings, **settings)


def measure(
    metrics: Sequence[Any],
    labels: ArrayLike,
    predictions: ArrayLike,
    weights: ArrayLike | None = None,
    batches: int = 3,
) -> dict[str, float]:
    """Computes metrics of rows that come in several batches, whose results are merged, by name."""
    size = len(np.asarray(labels))
    columns = {
        constants.LABELS_KEY: np.asarray(labels).reshape(size, 1),
        constants.PREDICTIONS_KEY: np.asarray(predictions, np.float32).reshape(size, -1),
        constants.EXAMPLE_WEIGHTS_KEY: np.ones((size, 1)) if weights is None else np.reshape(weights, (size, 1)),
    }
    parts = np.array_split(np.arange(size), min(batches, size))
    inputs = [StandardMetricInputs({name: each[part] for name, each in columns.items()}) for part in parts]
    values: dict[MetricKey, Any] = {}
    for metric in metrics:
        for computation in metric.computations(example_weighted=weights is not None):
            if not isinstance(computation, MetricComputation):
                values |= computation.result(values)
                continue
            combiner = computation.combiner
            combiner.setup()
            accumulators = [combiner.add_input(combiner.create_accumulator(), each) for each in inputs]
            values |= combiner.extract_output(combiner.merge_accumulators(accumulators))
    return {key.name: value for key, value in values.items()}


def value_of(task: Task, name: str, *rows: Any, classes: Sequence[str] = (), **settings: Any) -> float:
    """One metric of some rows: labels, predictions and weights."""
    return float(measure([metric_of(task, name, classes, **settings)], *rows)[name])
