"""Buckets of predictions from TFMA's plots, and the calibration curve, ROC curve and confusion matrix."""

import dataclasses
import itertools
from collections.abc import Sequence

from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from common.intervals import Interval, wilson
from reports.statistics.intervals import Counts

BINS = 10


@dataclasses.dataclass(frozen=True)
class Bucket:
    """Rows of one slice with similar predictions.

    Attributes:
        low: Lowest prediction of the bucket.
        rows: Number of rows.
        positives: Number of rows of class 1.
        predicted: Sum of their predictions.
    """

    low: float
    rows: float
    positives: float
    predicted: float


@dataclasses.dataclass(frozen=True)
class Bin:
    """A point of the calibration plot.

    Attributes:
        predicted: Mean prediction.
        observed: Fraction of class 1.
        rows: Number of rows.
        interval: 95% interval of the fraction (Wilson).
    """

    predicted: float
    observed: float
    rows: int
    interval: Interval


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Attributes:
        classes: Names, in the order of their indices.
        rows: ``rows[actual][predicted]``.
    """

    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


def read_buckets(message: metrics_for_slice_pb2.CalibrationHistogramBuckets) -> tuple[Bucket, ...]:
    """Reads TFMA's buckets, lowest first, without empty ones."""
    found = [
        Bucket(
            low=each.lower_threshold_inclusive,
            rows=each.num_weighted_examples.value,
            positives=each.total_weighted_label.value,
            predicted=each.total_weighted_refined_prediction.value,
        )
        for each in message.buckets
    ]
    return tuple(each for each in found if each.rows)


def counts(buckets: Sequence[Bucket]) -> Counts:
    """Returns the counts that the intervals need."""
    return Counts(
        rows=sum(each.rows for each in buckets),
        positives=sum(each.positives for each in buckets),
    )


def calibration(buckets: Sequence[Bucket]) -> tuple[Bin, ...]:
    """Returns ten bins of equal width, without empty ones.

    >>> [(each.predicted, each.observed, each.rows) for each in calibration([Bucket(0.25, 4, 1, 1.0)])]
    [(0.25, 0.25, 4)]
    """

    def place(bucket: Bucket) -> int:
        return min(max(int(bucket.low * BINS + 1e-9), 0), BINS - 1) if bucket.low > 0 else 0

    bins = []
    for _, group in itertools.groupby(sorted(buckets, key=lambda each: each.low), key=place):
        members = list(group)
        rows = sum(each.rows for each in members)
        observed = sum(each.positives for each in members) / rows
        interval = wilson(min(max(observed, 0.0), 1.0), rows)
        assert interval is not None  # there are rows
        bins.append(Bin(sum(each.predicted for each in members) / rows, observed, int(rows), interval))
    return tuple(bins)


def roc(buckets: Sequence[Bucket]) -> tuple[tuple[float, float], ...]:
    """Returns false and true positive rates, from the highest threshold down, or empty if one class has no rows.

    >>> roc([Bucket(0.0, 2, 0, 0.2), Bucket(0.5, 2, 2, 1.5)])
    ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    """
    positives = sum(each.positives for each in buckets)
    negatives = sum(each.rows for each in buckets) - positives
    if positives <= 0 or negatives <= 0:
        return ()
    points = [(0.0, 0.0)]
    true = false = 0.0
    for each in sorted(buckets, key=lambda each: each.low, reverse=True):
        true += each.positives
        false += each.rows - each.positives
        points.append((false / negatives, true / positives))
    return tuple(points)


def read_confusion(
    message: metrics_for_slice_pb2.MultiClassConfusionMatrixAtThresholds, classes: Sequence[str]
) -> Confusion:
    """Reads TFMA's matrix. Classes without a name in the settings are named by their index."""
    [matrix] = message.matrices
    size = len(classes)
    for entry in matrix.entries:
        size = max(size, entry.actual_class_id + 1, entry.predicted_class_id + 1)
    rows = [[0] * size for _ in range(size)]
    for entry in matrix.entries:
        rows[entry.actual_class_id][entry.predicted_class_id] += int(entry.num_weighted_examples)
    names = (*classes, *(str(index) for index in range(len(classes), size)))
    return Confusion(tuple(names), tuple(tuple(row) for row in rows))
