"""The trivial model: the constant that predicts the label of the train split best."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_model_analysis.proto import config_pb2
from tfx import types

from custom_components.batched_evaluator.trivial_settings import CLASS_NAME, FIT, TrivialSettings
from custom_components.shared.examples import records, split_files
from models.signatures import TRANSFORM_LABEL

BATCH = 8192
MEDIAN_METRICS = ("mae", "mape")


@dataclasses.dataclass(frozen=True)
class TrivialModel:
    """The constant predictions.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        mean: Share of each class, or the mean of the label.
        median: The median of the label. ``None`` for classes.
    """

    task: str
    mean: tuple[float, ...]
    median: float | None = None

    def prediction(self, metric: str) -> list[float]:
        """The best constant for a metric: the probability of class 1, the share of each class, or a value."""
        if self.median is not None and metric in MEDIAN_METRICS:
            return [self.median]
        return [self.mean[1]] if self.task == "binary" else list(self.mean)


def fit_trivial(settings: TrivialSettings, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> TrivialModel:
    """Fits the trivial model.

    Args:
        settings: The task and the number of classes.
        batches: Labels [N] and weights [N] of the split's rows. A label of -1 stands for no class.

    Raises:
        ValueError: There are no rows, or all weights are 0.
    """
    pairs = list(batches)
    labels = np.concatenate([pair[0] for pair in pairs]) if pairs else np.zeros(0)
    weights = np.concatenate([pair[1] for pair in pairs]) if pairs else np.zeros(0)
    total = weights.sum(dtype=np.float64)
    if not total > 0:
        raise ValueError(f"found no rows with a weight in the {settings.split} split; expected some")
    if settings.task == "regression":
        return TrivialModel(settings.task, (float(labels @ weights / total),), weighted_median(labels, weights))
    known = labels >= 0
    sums = np.bincount(labels[known].astype(np.int64), weights[known], minlength=settings.classes)
    return TrivialModel(settings.task, tuple((sums / sums.sum()).tolist()))


def fit_to_examples(settings: TrivialSettings, examples: list[types.Artifact], model_dir: str) -> TrivialModel:
    """Fits the trivial model to a split, with the label that a SavedModel computes."""
    served = tf.saved_model.load(model_dir)
    files = split_files(examples, settings.split)
    return fit_trivial(settings, read_labels(files, served.signatures[TRANSFORM_LABEL], settings))


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The smallest value with at least half of the weight at or below it, or the middle of two if it is exactly half.

    >>> weighted_median(np.array([3.0, 1.0, 2.0, 9.0]), np.ones(4))
    2.5
    """
    values, weights = values[weights > 0], weights[weights > 0]
    order = np.argsort(values, kind="stable")
    ordered, sums = values[order], np.cumsum(weights[order], dtype=np.float64)
    half = sums[-1] / 2
    place = int(np.searchsorted(sums, half))
    if sums[place] == half and place + 1 < len(ordered):
        return float((ordered[place] + ordered[place + 1]) / 2)
    return float(ordered[place])


def read_labels(
    files: Sequence[str], transform_label: Any, settings: TrivialSettings
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Yields the labels and the weights of raw examples, batch by batch.

    Args:
        files: Gzipped TFRecord files.
        transform_label: The signature of the model that computes the label.
        settings: Name of the label and the column of the weights.
    """
    for batch in records(files).batch(BATCH):
        labels = transform_label(examples=batch)[settings.label].numpy()[:, 0]
        yield labels, raw_weights(batch, settings.weight) if settings.weight else np.ones(len(labels))


def raw_weights(examples: tf.Tensor, column: str) -> np.ndarray:
    """The weights of serialized examples, as float64 [N], from a column of integers or floats."""
    found = []
    for record in examples.numpy():
        feature = tf.train.Example.FromString(record).features.feature[column]
        kind = feature.WhichOneof("kind")
        found.append(float(getattr(feature, kind).value[0]) if kind else 0.0)
    return np.array(found)


def settings_of(config: config_pb2.EvalConfig) -> TrivialSettings:
    """What the trivial model is fitted to, from the first metric that needs it."""
    found = (metric for spec in config.metrics_specs for metric in spec.metrics if metric.class_name == CLASS_NAME)
    return TrivialSettings(**json.loads(next(found).config)[FIT])


def with_predictions(config: config_pb2.EvalConfig, model: TrivialModel) -> config_pb2.EvalConfig:
    """The configuration with the trivial model's predictions in the metrics that need them."""
    changed = config_pb2.EvalConfig()
    changed.CopyFrom(config)
    for spec in changed.metrics_specs:
        for metric in spec.metrics:
            if metric.class_name == CLASS_NAME:
                settings = json.loads(metric.config)
                del settings[FIT]
                metric.config = json.dumps({**settings, "prediction": model.prediction(settings["metric"])})
    return changed
