"""How a feature's values are distributed, and how far two splits are apart."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

Values: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float64]]"

BINS = 24
SHOWN_TEXTS = 5
# A tail that is this many times longer than the range of the middle eight tenths is cut off the picture.
LONG_TAIL = 3.0
CLOSE = 1e-6


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A numeric feature in one split.

    Attributes:
        mean: Of the values that are there, as are the next ones.
        deviation: Standard deviation.
        least: Minimum.
        median: Median.
        most: Maximum.
        zeros: How many are 0.
        whole: Whether these are few whole numbers, each a bin of its own.
        points: Rising values and the share of the rows up to each, from TFDV's histograms of equal width and of equal
            counts.
    """

    mean: float
    deviation: float
    least: float
    median: float
    most: float
    zeros: int
    whole: bool
    points: tuple[tuple[float, float], ...]

    def share_below(self, values: Values) -> list[float]:
        """Share of the rows up to each of ``values``."""
        if not self.points:
            return [0.0] * len(values)
        at, shares = zip(*self.points, strict=True)
        return [float(share) for share in np.interp(values, at, shares, left=0.0, right=1.0)]

    def at_share(self, share: float) -> float:
        """The value that this share of the rows does not exceed."""
        at, shares = zip(*self.points, strict=True)
        return float(np.interp(share, shares, at))


@dataclasses.dataclass(frozen=True)
class Texts:
    """A text feature in one split.

    Attributes:
        unique: Different values, about.
        shares: Share of the rows with a value that hold each of the most frequent ones.
    """

    unique: int
    shares: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Two splits over the same bins.

    Attributes:
        low: Where the first bin begins.
        high: Where the last one ends.
        cut: Whether a long tail is left out.
        first: Share of the first split's rows in each bin.
        second: That of the second split.
    """

    low: float
    high: float
    cut: bool
    first: tuple[float, ...]
    second: tuple[float, ...]


def numbers(found: statistics_pb2.NumericStatistics, whole: bool) -> Numbers:
    """Of TFDV's record; ``whole`` says that the values are whole numbers."""
    whole = whole and found.max - found.min < BINS
    points = _points_of_whole(found) if whole else _points(found)
    mean, deviation, zeros = found.mean, found.std_dev, int(found.num_zeros)
    return Numbers(mean, deviation, found.min, found.median, found.max, zeros, whole, points)


def texts(found: statistics_pb2.StringStatistics, rows: int) -> Texts:
    """Of TFDV's record.

    Args:
        found: The record.
        rows: Rows that have a value.
    """
    top = {each.value: each.frequency / rows for each in found.top_values}
    return Texts(int(found.unique), top)


def shift(first: Numbers | Texts | None, second: Numbers | Texts | None) -> float | None:
    """How far two splits are apart; 0 for the same.

    For numbers the difference of the means in standard deviations (of both splits together, as they were one half
    each); for texts the largest difference of one value's share (the L-infinity distance that TFDV's skew comparator
    takes). Both follow from what TFDV counts; its histograms are too coarse for more. ``None`` where one has no values,
    or they are of two kinds.
    """
    if isinstance(first, Numbers) and isinstance(second, Numbers):
        deviation = math.sqrt((first.deviation**2 + second.deviation**2) / 2)
        apart = abs(first.mean - second.mean)
        # Two constants are either the same or as far apart as can be.
        ratio = apart / deviation if deviation else (0.0 if not apart else math.inf)
        return None if math.isnan(ratio) else ratio
    if isinstance(first, Texts) and isinstance(second, Texts):
        every = {*first.shares, *second.shares}
        return max((abs(first.shares.get(each, 0.0) - second.shares.get(each, 0.0)) for each in every), default=None)
    return None


def histogram(first: Numbers | None, second: Numbers | None) -> Histogram | None:
    """Both splits over common bins; ``None`` if neither has a finite value."""
    given = [each for each in (first, second) if each and each.points]
    if not given:
        return None
    if all(each.whole for each in given):
        least, most = min(each.least for each in given), max(each.most for each in given)
        edges = np.arange(least, most + 2) - 0.5
        if len(edges) <= 2 * BINS:
            return Histogram(least, most, False, _shares(first, edges), _shares(second, edges))
    low, high, cut = _range(given)
    edges = np.linspace(low, high, BINS + 1)
    return Histogram(low, high, cut, _shares(first, edges), _shares(second, edges))


def _range(given: Sequence[Numbers]) -> tuple[float, float, bool]:
    """What is drawn, and whether that leaves out a long tail."""
    low, high = min(each.points[0][0] for each in given), max(each.points[-1][0] for each in given)
    if low == high:
        return low - 0.5, high + 0.5, False
    middle = (min(each.at_share(0.1) for each in given), max(each.at_share(0.9) for each in given))
    width = middle[1] - middle[0]
    if width <= 0:
        return low, high, False
    shown = [
        end if abs(end - edge) <= LONG_TAIL * width else edge + math.copysign(width, end - edge)
        for end, edge in zip((low, high), middle, strict=True)
    ]
    return shown[0], shown[1], shown != [low, high]


def _shares(each: Numbers | None, edges: Values) -> tuple[float, ...]:
    """Share of the rows in each bin."""
    bins = len(edges) - 1
    if each is None or not each.points:
        return (0.0,) * bins
    if each.points[0][0] == each.points[-1][0]:  # all the same: in one bin
        place = min(int(np.searchsorted(edges, each.points[0][0], "right")), bins) - 1
        return tuple(float(index == place) for index in range(bins))
    below = each.share_below(edges)
    if edges[0] <= each.points[0][0]:
        below[0] = 0.0  # many rows may hold the least value itself
    return tuple(after - before for before, after in itertools.pairwise(below))


def _points_of_whole(found: statistics_pb2.NumericStatistics) -> tuple[tuple[float, float], ...]:
    """Of few whole numbers: a bucket's rows belong to those that lie in it."""
    least, most = round(found.min), round(found.max)
    rows = dict.fromkeys(range(least, most + 1), 0.0)
    equal_width = [each for each in found.histograms if each.type == statistics_pb2.Histogram.STANDARD]
    for bucket in equal_width[0].buckets if equal_width else ():
        # Edges are sums of a width that binary fractions only come near to.
        low, high = bucket.low_value - CLOSE, bucket.high_value - CLOSE
        held = [value for value in rows if low <= value < (high if bucket.high_value < most else most + 1)]
        held = held or [min(rows, key=lambda value, low=low: abs(value - low))]  # type: ignore[misc]
        for value in held:
            rows[value] += bucket.sample_count / len(held)
    total = sum(rows.values())
    if not total:
        return ()
    so_far = itertools.accumulate(rows.values(), initial=0.0)
    return tuple((value - 0.5, count / total) for value, count in zip((*rows, most + 1), so_far, strict=True))


def _points(found: statistics_pb2.NumericStatistics) -> tuple[tuple[float, float], ...]:
    """Values and cumulative shares, from all histograms together."""
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
    finite = sorted((at, share) for at, share in points.items() if math.isfinite(at))
    shares = itertools.accumulate((share for _, share in finite), max)
    return tuple((at, share) for (at, _), share in zip(finite, shares, strict=True))
