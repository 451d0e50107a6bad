"""Confidence intervals of fractions."""

import math
from typing import NamedTuple

Z = 1.959964  # two-sided 95% of the normal distribution


class Interval(NamedTuple):
    """Bounds of a 95% interval."""

    low: float
    high: float


def wilson(fraction: float, rows: float, z: float = Z) -> Interval | None:
    """Interval of a fraction of rows: Wilson, Journal of the American Statistical Association 22 (1927).

    Args:
        fraction: The fraction.
        rows: Number of rows.
        z: Quantile of the distribution of its error.

    >>> low, high = wilson(0.8, 5)
    >>> round(low, 3), round(high, 3)
    (0.376, 0.964)
    """
    if not rows > 0 or not 0 <= fraction <= 1:
        return None
    center = (fraction + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * math.sqrt(fraction * (1 - fraction) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return Interval(max(0.0, center - half), min(1.0, center + half))
