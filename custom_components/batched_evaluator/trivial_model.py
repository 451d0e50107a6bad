"""The trivial model: the constant that predicts the label of the train split best."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow_model_analysis.proto import config_pb2
from tfx import types

from artifacts.metric_kinds import base_name
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.splits.time_column import Place, form_of, read_times
from custom_components.batched_evaluator.trivial_settings import CLASS_NAME, FIT, TrivialSettings
from custom_components.shared.examples import records, split_files
from models.signatures import TRANSFORM_LABEL

BATCH = 8192
MEDIAN_METRICS = ("mae", "mape", "median_absolute_error", "absolute_error_quantile")


class LabeledRows(NamedTuple):
    """Rows of a split.

    Attributes:
        labels: [N]. A label of -1 stands for no class.
        weights: float64 [N].
        times: The raw values of the column of times, or ``None`` if it is not needed.
    """

    labels: np.ndarray
    weights: np.ndarray
    times: list[Any] | None = None


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

    def prediction(self, metric: str, settings: Mapping[str, Any] | None = None) -> list[float]:
        """The best constant for a metric: the probability of class 1, of each class, or a value.

        Args:
            metric: Name of the metric.
            settings: Its settings, which may name a class, or the costs.
        """
        if self.median is not None and base_name(metric) in MEDIAN_METRICS:
            return [self.median]
        if self.task == "regression":
            return list(self.mean)
        settings, found = settings or {}, list(self.mean)
        chosen = settings.get("index")  # F1 and precision of a class are best if all rows are taken for it
        if "costs" in settings and not settings.get("optimal"):  # which chooses by the shares of the classes
            chosen = int(np.argmin(np.array(self.mean) @ np.array(settings["costs"])))
        if chosen is not None:
            found = [float(index == chosen) for index in range(len(self.mean))]
        return [found[1]] if self.task == "binary" else found


def fit_trivial(settings: TrivialSettings, batches: Iterable[LabeledRows]) -> TrivialModel:
    """Fits the trivial model.

    Args:
        settings: The task and the number of classes.
        batches: The split's rows.

    Raises:
        ValueError: There are no rows, or all weights are 0.
    """
    labels, weights, _ = joined(batches)
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

    def rows_of(split: str) -> Iterator[LabeledRows]:
        return read_labels(split_files(examples, split), served.signatures[TRANSFORM_LABEL], settings)

    train = fit_trivial(settings, rows_of(settings.split))
    if settings.newest is None or settings.evaluated is None:
        return train
    newest = joined(rows_of(settings.newest))
    return best_constants(settings, train, newest, joined(rows_of(settings.evaluated)))


def best_constants(
    settings: TrivialSettings, train: TrivialModel, newest: LabeledRows, evaluated: LabeledRows
) -> TrivialModel:
    """The constants that are closest to rows which are later than all others.

    Args:
        settings: The task.
        train: The model fitted to the train split.
        newest: The rows before the evaluated ones, with their times. Their mean and their last value are tried.
        evaluated: The evaluated rows.
    """
    tried = [part for part in (newest, latest_rows(newest)) if part is not None and part.weights.sum() > 0]
    models = [train, *(fit_trivial(settings, [part]) for part in tried)]
    means = [model.mean[0] for model in models]
    medians = [model.median for model in models if model.median is not None]
    labels, weights = evaluated.labels, evaluated.weights
    mean = min(means, key=lambda value: float(np.square(labels - value) @ weights))
    median = min(medians, key=lambda value: float(np.abs(labels - value) @ weights))
    return TrivialModel(train.task, (mean,), median)


def latest_rows(rows: LabeledRows) -> LabeledRows | None:
    """The rows with the latest time, or ``None`` if the order of the times is not known."""
    if rows.times is None:
        return None
    times = read_times(pa.array(rows.times))
    evidence = {way: Place(0, index, "", "") for way, index in times.first.items()}
    try:
        form = form_of(evidence, "", str) if evidence else None
    except TableError:  # day and month can be exchanged in all dates of the split
        form = None
    if form is None:
        return None
    values = form.normalized(times.values)
    latest = times.present & (values == values[times.present].max())
    return LabeledRows(rows.labels[latest], rows.weights[latest])


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


def read_labels(files: Sequence[str], transform_label: Any, settings: TrivialSettings) -> Iterator[LabeledRows]:
    """Yields the labels, weights and times of raw examples, batch by batch.

    Args:
        files: Gzipped TFRecord files.
        transform_label: The signature of the model that computes the label.
        settings: Name of the label and the columns of weights and times.
    """
    for batch in records(files).batch(BATCH):
        labels = transform_label(examples=batch)[settings.label].numpy()[:, 0]
        weights = [float(each or 0) for each in raw_values(batch, settings.weight)] if settings.weight else None
        times = raw_values(batch, settings.time) if settings.time else None
        yield LabeledRows(labels, np.ones(len(labels)) if weights is None else np.array(weights), times)


def raw_values(examples: tf.Tensor, column: str) -> list[Any]:
    """The first value of a column in each serialized example, or ``None`` if it has none."""
    found = []
    for record in examples.numpy():
        feature = tf.train.Example.FromString(record).features.feature[column]
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        found.append(values[0] if values else None)
    return found


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
                compared = settings["metric"]["settings"]
                metric.config = json.dumps({**settings, "prediction": model.prediction(compared["name"], compared)})
    return changed


def joined(batches: Iterable[LabeledRows]) -> LabeledRows:
    """All rows of several batches."""
    parts = list(batches)
    times = [time for part in parts if part.times is not None for time in part.times]
    return LabeledRows(
        np.concatenate([np.zeros(0), *(part.labels for part in parts)]),
        np.concatenate([np.zeros(0), *(part.weights for part in parts)]),
        times or None,
    )
