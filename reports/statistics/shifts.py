"""How much a column differs between two splits, and how large a difference chance alone makes.

Numbers: the Jensen-Shannon divergence, base 2, of histograms with the same bins (Lin, 1991). Strings: the largest
difference of one value's fraction, the L-infinity distance of TFDV's comparators. A missing value is a value of its
own. Both are between 0 and 1.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from reports.statistics.distributions import NumericValues, StringValues, Values

BINS = 10
MIN_COMMON = 3  # edges that two histograms share, from which on they are used alone
# What the ten buckets of TFDV's histograms cannot tell, at any number of rows.
PRECISION = 0.002
FAR_APART = 8
TINY = 1e-12
TOP_VALUES = 20  # of a string column that TFDV lists


@dataclasses.dataclass(frozen=True)
class Sample:
    """A column in one split.

    Attributes:
        rows: Number of rows.
        missing: Number of rows without a value.
        values: The distribution of the values, or ``None`` if there are none.
    """

    rows: int
    missing: int
    values: NumericValues | StringValues | None

    @property
    def missing_fraction(self) -> float:
        """Fraction of the rows without a value."""
        return self.missing / self.rows if self.rows else 0.0


@dataclasses.dataclass(frozen=True)
class Shift:
    """The difference of a column between two splits.

    Attributes:
        value: The difference, between 0 and 1.
        by_chance: The largest difference to expect if both splits were drawn from the same rows.
    """

    value: float
    by_chance: float

    @property
    def is_larger(self) -> bool:
        """Whether it is larger than what is expected by chance."""
        return self.value > self.by_chance


def shift(first: Sample, second: Sample, alpha: float = 0.01) -> Shift | None:
    """The difference of a column between two splits.

    Args:
        first: The column in one split.
        second: The column in the other.
        alpha: Probability that chance makes a larger difference than :attr:`Shift.by_chance`.

    Returns:
        ``None`` if a split has no rows, the column no values, or the types differ.
    """
    kinds = {type(each.values) for each in (first, second) if each.values is not None}
    if not first.rows or not second.rows or len(kinds) != 1:
        return None
    if kinds == {NumericValues}:
        return _numeric_shift(first, second, alpha)
    return _string_shift(first, second, alpha)


def jensen_shannon(first: Sequence[float], second: Sequence[float]) -> float:
    """The Jensen-Shannon divergence, base 2, of two distributions over the same bins.

    >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([0.5, 0.5], [0.5, 0.5])
    (1.0, 0.0)
    """
    found = 0.0
    for one, other in zip(first, second, strict=True):
        middle = (one + other) / 2
        found += sum(each * math.log2(each / middle) for each in (one, other) if each > TINY) / 2
    return min(max(found, 0.0), 1.0)


def _numeric_shift(first: Sample, second: Sample, alpha: float) -> Shift:
    edges = _edges(first, second)
    below = _fractions_up_to([each.values for each in (first, second)], edges)
    bins = [_fractions(each, up_to) for each, up_to in zip((first, second), below, strict=True)]
    used = sum(1 for one, other in zip(*bins, strict=True) if one or other)
    by_chance = 0.0
    if used > 1:
        # Divided by the number of rows, the divergence of two samples has about a chi-squared distribution.
        spread = (1 / first.rows + 1 / second.rows) / (8 * math.log(2))
        by_chance = _chi_squared(used - 1, alpha) * spread
    return Shift(jensen_shannon(*bins), min(max(by_chance, PRECISION), 1.0))


def _fractions(sample: Sample, up_to: Sequence[float]) -> list[float]:
    """Fraction of the rows in each bin, and of those without a value, from the fractions up to each edge."""
    missing = sample.missing_fraction
    present = 0.0 if sample.values is None else 1 - missing
    return [max(after - before, 0.0) * present for before, after in itertools.pairwise([0.0, *up_to, 1.0])] + [missing]


def _fractions_up_to(values: Sequence[NumericValues | StringValues | None], edges: Values) -> list[list[float]]:
    """For two splits, the fraction of the rows up to each edge.

    Between two quantiles it is interpolated. If these are far apart, there may be a hole between them. Then the
    fractions of both splits are as near to each other as their quantiles allow.
    """
    given = [each for each in values if isinstance(each, NumericValues)]
    if len(given) < len(values):
        return [given[0].fractions_up_to(edges) if given else []] * len(values)
    found = [each.fractions_up_to(edges) for each in given]
    for index, edge in enumerate(edges):
        around = [each.around(float(edge)) for each in given]
        limit = FAR_APART * min(each.width or each.next_width for each in around)
        ranges = [
            (each.low, each.high)
            if each.is_gap or each.width > min(limit, FAR_APART * each.next_width)
            else (at[index], at[index])
            for each, at in zip(around, found, strict=True)
        ]
        low, high = max(each[0] for each in ranges), min(each[1] for each in ranges)
        middle = (found[0][index] + found[1][index]) / 2
        for at, (lowest, highest) in zip(found, ranges, strict=True):
            at[index] = (
                min(max(middle, low), high) if low <= high else min(max(high if lowest < low else low, lowest), highest)
            )
    return found


def _edges(first: Sample, second: Sample) -> Values:
    """Values that divide both splits into about ten bins, and up to which the fraction of rows is known."""
    given = [
        each.values for each in (first, second) if isinstance(each.values, NumericValues) and each.values.quantiles
    ]
    if not given:
        return np.array([])
    # How many rows have the minimum is not known, unless these are more than the first bucket holds.
    lowest = {value for each in given for value, fraction in each.quantiles if not fraction}
    inner = [{value for value, _ in each.quantiles[:-1]} - lowest for each in given]
    common = sorted(set.intersection(*inner))
    if len(common) >= MIN_COMMON:
        return np.array(common)
    at = np.unique([value for each in given for value, _ in each.quantiles])
    pooled = np.mean([each.fractions_up_to(at) for each in given], axis=0)
    deciles = np.interp(np.arange(1, BINS) / BINS, pooled, at)
    # The histograms do not tell how many rows are between two quantiles if the upper one is the value of many rows.
    hidden: dict[float, float] = {}
    for low, high in (gap for each in given for gap in each.gaps):
        hidden[high] = min(low, hidden.get(high, low))
    known = [next((low for high, low in hidden.items() if low < each < high), each) for each in deciles.tolist()]
    return np.unique([*(np.nextafter(each, -np.inf) if each in lowest else each for each in known), *common])


def _string_shift(first: Sample, second: Sample, alpha: float) -> Shift:
    one, other = _shares(first), _shares(second)
    names = {*one, *other}
    floors = [_unlisted(each) for each in (first, second)]
    spread = 1 / first.rows + 1 / second.rows
    differences, errors = [], []
    for name in names:
        shares = (one.get(name), other.get(name))
        # A value that is not listed is at most as frequent as the last one that is.
        low, high = (
            min(floors[index], shares[1 - index] or 0.0) if each is None else each for index, each in enumerate(shares)
        )
        differences.append(abs(low - high))
        pooled = (low * first.rows + high * second.rows) / (first.rows + second.rows)
        errors.append(math.sqrt(pooled * (1 - pooled) * spread))
    z = statistics.NormalDist().inv_cdf(1 - alpha / (2 * max(len(names), 1)))
    return Shift(max(differences, default=0.0), min(z * max(errors, default=0.0), 1.0))


def _shares(sample: Sample) -> Mapping[str | None, float]:
    """Fraction of the rows by value, and of those without one."""
    found: dict[str | None, float] = {None: sample.missing_fraction}
    if isinstance(sample.values, StringValues):
        found |= {name: share * (1 - sample.missing_fraction) for name, share in sample.values.fractions.items()}
    return found


def _unlisted(sample: Sample) -> float:
    """The largest fraction that a value can have which is not listed."""
    if not isinstance(sample.values, StringValues) or len(sample.values.fractions) < TOP_VALUES:
        return 0.0
    return min(sample.values.fractions.values()) * (1 - sample.missing_fraction)


def _chi_squared(degrees: int, alpha: float) -> float:
    """The value that a chi-squared variable exceeds with probability ``alpha`` (Wilson and Hilferty, 1931)."""
    z, part = statistics.NormalDist().inv_cdf(1 - alpha), 2 / (9 * degrees)
    return float(degrees * (1 - part + z * math.sqrt(part)) ** 3)
