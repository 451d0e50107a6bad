"""Intervals of differences between trainings, over seeds and rows."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from artifacts.nodes.ablation import Estimate
from custom_components.ablation.metrics import Array, Metric

RESAMPLES = 200
MAX_ELEMENTS = 4_000_000  # of resampled weights that are in memory at once
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Scores:
    """The metric of one model.

    Attributes:
        value: On all rows.
        resampled: On each resample of the rows, [RESAMPLES].
    """

    value: float
    resampled: Array


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows that all models are measured on, and their resamples, which are the same for all models.

    Attributes:
        labels: [rows]. A class is its index.
        weights: [rows]. What each row counts.
    """

    labels: Array
    weights: Array

    def scores(self, metric: Metric, predictions: Array) -> Scores:
        """Measures predictions, [rows, width]."""
        [value] = metric.compute(self.labels, predictions, self.weights[None])
        parts = [metric.compute(self.labels, predictions, counts * self.weights) for counts in self._resamples()]
        return Scores(float(value), np.concatenate(parts))

    def _resamples(self) -> Iterator[Array]:
        """How often each row is in a resample, [resamples, rows], part by part."""
        rows, random = len(self.labels), np.random.default_rng(0)
        size = max(1, MAX_ELEMENTS // rows)
        for start in range(0, RESAMPLES, size):
            count = min(size, RESAMPLES - start)
            drawn = random.integers(rows, size=(count, rows))
            yield np.stack([np.bincount(each, minlength=rows) for each in drawn]).astype(np.float64)


def difference(metric: Metric, better: Sequence[Scores], other: Sequence[Scores]) -> Estimate:
    """How much better some models are than others, with a 95% interval.

    Models at the same place of the two sequences have the same seed. The variance of the mean over R seeds is estimated
    as the sum of two parts: that of the differences between seeds on these rows, divided by R, and that of the mean
    difference over resamples of the rows. What seeds and rows have in common is in both, so that the interval is rather
    too wide. Its t distribution has the degrees of freedom of Welch and Satterthwaite, since the first part has only
    R - 1.

    The interval covers what other seeds and other rows of the same kind would give. The training rows are fixed.

    Args:
        metric: The metric. A positive difference is better, also for losses and errors.
        better: Models that are expected to be better.
        other: The models to compare them with.
    """
    pairs = list(zip(better, other, strict=True))
    by_seed = metric.sign * np.array([one.value - two.value for one, two in pairs])
    by_resample = metric.sign * np.mean([one.resampled - two.resampled for one, two in pairs], axis=0)
    value, seeds = float(by_seed.mean()), len(pairs)
    from_seeds = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    from_rows = float(np.nanvar(by_resample, ddof=1))
    total = from_seeds + from_rows
    if not total > 0:
        return Estimate(value, value, value)
    freedom = total**2 / (from_seeds**2 / max(seeds - 1, 1) + from_rows**2 / (RESAMPLES - 1))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * math.sqrt(total)
    return Estimate(value, value - half, value + half)
