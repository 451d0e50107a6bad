"""Metrics of a slice with their 95% intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from artifacts.nodes.metrics import SliceMetrics
from common.intervals import Interval
from reports.statistics.buckets import Bucket, counts
from reports.statistics.intervals import AREAS, Counts

ROWS = "example_count"


@dataclasses.dataclass(frozen=True)
class MetricResult:
    """A metric of one slice.

    Attributes:
        value: The value, or ``None`` if it is not defined.
        interval: Its 95% interval, or ``None`` if it is not known.
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
    counted = _effective(counts(buckets), measured.effective_rows) if buckets else None
    metrics = {metric: _result(metric, measured, counted) for metric in measured.values}
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


def _effective(counted: Counts, rows: float | None) -> Counts:
    """Counts in rows of equal weight. The sum of the weights can be any number."""
    factor = 1.0 if rows is None else rows / counted.rows
    return Counts(counted.rows * factor, counted.positives * factor)


def _result(metric: str, measured: SliceMetrics, counted: Counts | None) -> MetricResult:
    value, change = measured.values[metric], measured.changes.get(metric)
    if not math.isfinite(value):
        return MetricResult(None, None, None)
    interval = None
    if bounds := measured.intervals.get(metric):
        interval = Interval(*bounds)
    elif counted and metric in AREAS:
        interval = AREAS[metric](value, counted)
    return MetricResult(value, interval, change if change is not None and math.isfinite(change) else None)
