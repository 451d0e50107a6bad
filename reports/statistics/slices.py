"""Metrics of a slice with their 95% intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from artifacts.nodes.metrics import SliceMetrics
from reports.statistics.buckets import Bucket, counts
from reports.statistics.intervals import BINARY, Interval, mean_absolute_error, wilson

ROWS = "example_count"
# TFMA returns 0 for these areas if the slice has one class only, which would look like a bad model.
NEEDS_BOTH_CLASSES = ("auc", "pr_auc")


@dataclasses.dataclass(frozen=True)
class MetricResult:
    """A metric of one slice.

    Attributes:
        value: The value, or ``None`` if it is not defined.
        interval: Its 95% interval, or ``None`` if there is no closed form.
        change: Difference from the baseline, or ``None`` if there is no baseline.
    """

    value: float | None
    interval: Interval | None
    change: float | None


@dataclasses.dataclass(frozen=True)
class SliceResult:
    """Metrics of one slice.

    Attributes:
        name: ``overall``, or ``column=value`` pairs.
        rows: Number of rows, or ``None`` if it was not measured.
        metrics: Metrics by name.
    """

    name: str
    rows: int | None
    metrics: Mapping[str, MetricResult]


def measure_slice(
    name: str,
    measured: SliceMetrics,
    buckets: Sequence[Bucket],
    plot: metrics_for_slice_pb2.PlotData | None,
) -> SliceResult:
    """Adds the intervals to the metrics of a slice.

    Args:
        name: Name of the slice.
        measured: Its metrics.
        buckets: The buckets of its calibration plot, or empty except for a binary classifier.
        plot: Its plots, if there are any.
    """
    rows = _rows(measured.values, buckets, plot)
    metrics = {metric: _result(metric, measured, rows, buckets) for metric in measured.values}
    return SliceResult(name, None if rows is None else int(rows), metrics)


def natural_order(name: str) -> list[tuple[int, float, str]]:
    """Sort key of a slice's name, in which numbers are compared as numbers.

    >>> sorted(["hour=10", "hour=9", "day=1, hour=2"], key=natural_order)
    ['day=1, hour=2', 'hour=9', 'hour=10']
    """
    key: list[tuple[int, float, str]] = []
    for pair in name.split(", "):
        column, _, value = pair.partition("=")
        try:
            key.append((0, float(value), column))
        except ValueError:
            key.append((1, 0.0, pair))
        key.insert(len(key) - 1, (1, 0.0, column))
    return key


def _rows(
    values: Mapping[str, float], buckets: Sequence[Bucket], plot: metrics_for_slice_pb2.PlotData | None
) -> float | None:
    if ROWS in values:
        return values[ROWS]
    if buckets:
        return counts(buckets).rows
    matrices = plot.multi_class_confusion_matrix_at_thresholds.matrices if plot else ()
    return sum(entry.num_weighted_examples for entry in matrices[0].entries) if matrices else None


def _result(metric: str, measured: SliceMetrics, rows: float | None, buckets: Sequence[Bucket]) -> MetricResult:
    value, change = measured.values[metric], measured.changes.get(metric)
    counted = counts(buckets) if buckets else None
    one_class = counted is not None and counted.positives in (0, counted.rows)
    if not math.isfinite(value) or (metric in NEEDS_BOTH_CLASSES and one_class):
        return MetricResult(None, None, None)
    interval = None
    if counted and metric in BINARY:
        interval = BINARY[metric](value, counted)
    elif metric == "accuracy" and rows:
        interval = wilson(value, rows)
    elif metric == "mae" and "mse" in measured.values and rows:
        interval = mean_absolute_error(value, measured.values["mse"], rows)
    return MetricResult(value, interval, change if change is not None and math.isfinite(change) else None)
