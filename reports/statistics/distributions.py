"""Distributions of a column's values."""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

Values: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float64]]"

BINS = 24
SHOWN_STRINGS = 5
# A tail that is this many times longer than the range from the 10th to the 90th percentile is cut off.
LONG_TAIL = 3.0
TOLERANCE = 1e-6


class Around(NamedTuple):
    """The quantiles below and above a value.

    Attributes:
        low: Fraction of the rows up to the quantile below.
        high: Fraction of the rows up to the quantile above.
        width: Their distance, 0 if the value is a quantile or outside of all.
        next_width: The smaller distance to the next quantile on either side.
        is_gap: Whether many rows have the value of the quantile above.
    """

    low: float
    high: float
    width: float
    next_width: float
    is_gap: bool = False


@dataclasses.dataclass(frozen=True)
class NumericValues:
    """The values of a numeric column in one split, without missing ones.

    Attributes:
        mean: Mean.
        std_dev: Standard deviation.
        min: Minimum.
        median: Median.
        max: Maximum.
        zeros: Number of zeros.
        few_integers: Whether the values are integers within a small range, so that each gets its own bin.
        points: Increasing values, each with the fraction of the rows up to it, from TFDV's histograms of equal width
            and of equal counts.
        quantiles: Increasing values, each with the exact fraction of the rows up to it, from the histogram of equal
            counts.
        gaps: Quantiles and the next ones, if many rows have that value. How many are in between is not known.
    """

    mean: float
    std_dev: float
    min: float
    median: float
    max: float
    zeros: int
    few_integers: bool
    points: tuple[tuple[float, float], ...]
    quantiles: tuple[tuple[float, float], ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()

    def fractions_up_to(self, values: Values) -> list[float]:
        """Returns the fraction of the rows up to each value, from the quantiles."""
        at, fractions = zip(*self.quantiles, strict=True)
        return [float(each) for each in np.interp(values, at, fractions, left=0.0, right=1.0)]

    def around(self, value: float) -> "Around":
        """Returns the quantiles next to a value, both the value itself if it is one."""
        at = [each for each, _ in self.quantiles]
        low, high = bisect.bisect_right(at, value) - 1, bisect.bisect_left(at, value)
        if low < 0 or high >= len(at):
            fraction = float(high >= len(at))
            return Around(fraction, fraction, 0.0, math.inf)
        next_widths = [at[each + 1] - at[each] for each in (low - 1, high) if 0 <= each < len(at) - 1]
        is_gap = low < high and any(above == at[high] for _, above in self.gaps)
        width, next_width = at[high] - at[low], min(next_widths, default=math.inf)
        return Around(self.quantiles[low][1], self.quantiles[high][1], width, next_width, is_gap)

    def fractions_below(self, values: Values) -> list[float]:
        """Returns the fraction of the rows up to each value."""
        if not self.points:
            return [0.0] * len(values)
        at, fractions = zip(*self.points, strict=True)
        return [float(each) for each in np.interp(values, at, fractions, left=0.0, right=1.0)]

    def quantile(self, fraction: float) -> float:
        """Returns the value that this fraction of the rows does not exceed."""
        at, fractions = zip(*self.points, strict=True)
        return float(np.interp(fraction, fractions, at))


@dataclasses.dataclass(frozen=True)
class StringValues:
    """The values of a string column in one split, without missing ones.

    Attributes:
        unique: Approximate number of distinct values.
        fractions: Fraction of the rows by value, for the most frequent values.
    """

    unique: int
    fractions: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Histograms of two splits over the same bins.

    Attributes:
        low: Lower edge of the first bin.
        high: Upper edge of the last bin.
        cut: Whether a long tail is left out.
        first: Fraction of the first split's rows in each bin.
        second: Fraction of the second split's rows in each bin.
    """

    low: float
    high: float
    cut: bool
    first: tuple[float, ...]
    second: tuple[float, ...]


def numeric_values(found: statistics_pb2.NumericStatistics, integers: bool) -> NumericValues:
    """Converts TFDV's record of a numeric column.

    Args:
        found: The record.
        integers: Whether the values are integers.
    """
    few_integers = integers and found.max - found.min < BINS
    return NumericValues(
        mean=found.mean,
        std_dev=found.std_dev,
        min=found.min,
        median=found.median,
        max=found.max,
        zeros=int(found.num_zeros),
        few_integers=few_integers,
        points=_points_of_integers(found) if few_integers else _points(found),
        quantiles=_quantiles(found),
        gaps=_gaps(found),
    )


def string_values(found: statistics_pb2.StringStatistics, rows: int) -> StringValues:
    """Converts TFDV's record of a string column.

    Args:
        found: The record.
        rows: Number of rows with a value.
    """
    top = {each.value: each.frequency / rows for each in found.top_values}
    return StringValues(int(found.unique), top)


def histogram(first: NumericValues | None, second: NumericValues | None) -> Histogram | None:
    """Returns the histograms of two splits, or ``None`` if neither has a finite value."""
    given = [each for each in (first, second) if each and each.points]
    if not given:
        return None
    if all(each.few_integers for each in given):
        low, high = min(each.min for each in given), max(each.max for each in given)
        edges = np.arange(low, high + 2) - 0.5
        if len(edges) <= 2 * BINS:
            return Histogram(low, high, False, _fractions(first, edges), _fractions(second, edges))
    low, high, cut = _range(given)
    edges = np.linspace(low, high, BINS + 1)
    return Histogram(low, high, cut, _fractions(first, edges), _fractions(second, edges))


def _range(given: Sequence[NumericValues]) -> tuple[float, float, bool]:
    """The range to draw, and whether it leaves out a long tail."""
    low, high = min(each.points[0][0] for each in given), max(each.points[-1][0] for each in given)
    if low == high:
        return low - 0.5, high + 0.5, False
    middle = (min(each.quantile(0.1) for each in given), max(each.quantile(0.9) for each in given))
    width = middle[1] - middle[0]
    if width <= 0:
        return low, high, False
    shown = [
        end if abs(end - edge) <= LONG_TAIL * width else edge + math.copysign(width, end - edge)
        for end, edge in zip((low, high), middle, strict=True)
    ]
    return shown[0], shown[1], shown != [low, high]


def _fractions(each: NumericValues | None, edges: Values) -> tuple[float, ...]:
    """Fraction of the rows in each bin."""
    bins = len(edges) - 1
    if each is None or not each.points:
        return (0.0,) * bins
    if each.points[0][0] == each.points[-1][0]:  # a constant, in one bin
        place = min(int(np.searchsorted(edges, each.points[0][0], "right")), bins) - 1
        return tuple(float(index == place) for index in range(bins))
    below = each.fractions_below(edges)
    if edges[0] <= each.points[0][0]:
        below[0] = 0.0  # many rows may have the minimum itself
    return tuple(after - before for before, after in itertools.pairwise(below))


def _points_of_integers(found: statistics_pb2.NumericStatistics) -> tuple[tuple[float, float], ...]:
    """Distributes the rows of a bucket over the integers in it."""
    minimum, maximum = round(found.min), round(found.max)
    rows = dict.fromkeys(range(minimum, maximum + 1), 0.0)
    equal_width = [each for each in found.histograms if each.type == statistics_pb2.Histogram.STANDARD]
    for bucket in equal_width[0].buckets if equal_width else ():
        # Edges are sums of a width that is not exact in binary.
        low, high = bucket.low_value - TOLERANCE, bucket.high_value - TOLERANCE
        contained = [value for value in rows if low <= value < (high if bucket.high_value < maximum else maximum + 1)]
        contained = contained or [min(rows, key=lambda value, low=low: abs(value - low))]  # type: ignore[misc]
        for value in contained:
            rows[value] += bucket.sample_count / len(contained)
    total = sum(rows.values())
    if not total:
        return ()
    so_far = itertools.accumulate(rows.values(), initial=0.0)
    return tuple((value - 0.5, count / total) for value, count in zip((*rows, maximum + 1), so_far, strict=True))


def _quantile_buckets(found: statistics_pb2.NumericStatistics) -> list[statistics_pb2.Histogram.Bucket]:
    """Buckets of the histogram of equal counts whose ends are finite."""
    kind = statistics_pb2.Histogram.QUANTILES
    buckets = [bucket for each in found.histograms if each.type == kind for bucket in each.buckets]
    return [each for each in buckets if math.isfinite(each.low_value) and math.isfinite(each.high_value)]


def _quantiles(found: statistics_pb2.NumericStatistics) -> tuple[tuple[float, float], ...]:
    buckets = _quantile_buckets(found)
    total = sum(each.sample_count for each in buckets)
    if not total:
        return ()
    points = {buckets[0].low_value: 0.0}
    for bucket, count in zip(buckets, itertools.accumulate(each.sample_count for each in buckets), strict=True):
        points[bucket.high_value] = count / total
    return tuple(sorted(points.items()))


def _gaps(found: statistics_pb2.NumericStatistics) -> tuple[tuple[float, float], ...]:
    buckets = _quantile_buckets(found)
    values = {each.high_value for each in buckets if each.low_value == each.high_value}
    return tuple(
        (each.low_value, each.high_value)
        for each in buckets
        if each.high_value in values and each.low_value < each.high_value
    )


def _points(found: statistics_pb2.NumericStatistics) -> tuple[tuple[float, float], ...]:
    """Values and cumulative fractions, from all histograms together."""
    points: dict[float, float] = {}
    for each in found.histograms:
        total = sum(bucket.sample_count for bucket in each.buckets)
        if not total:
            continue
        so_far = 0.0
        for bucket in each.buckets:
            points.setdefault(bucket.low_value, so_far / total)
            so_far += bucket.sample_count
            points[bucket.high_value] = max(points.get(bucket.high_value, 0.0), so_far / total)
    finite = sorted((at, fraction) for at, fraction in points.items() if math.isfinite(at))
    fractions = itertools.accumulate((fraction for _, fraction in finite), max)
    return tuple((at, fraction) for (at, _), fraction in zip(finite, fractions, strict=True))
