"""Decides whether a model meets its bounds.

The blessing policy in the settings, the Evaluator's configuration, the run's summary and the TFLite exporter all take
their bounds from here.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

from artifacts.metric_kinds import kind_of
from artifacts.slices import SliceValue, slice_name

Kind = Literal["value", "change", "better_than_trivial"]
Measured = Literal[Kind, "trivial"]
Comparison = Literal[">=", "<="]
NO_ROWS = "no rows"
_WORDS: dict[Comparison, str] = {">=": "at least", "<=": "at most"}


class Threshold(Protocol):
    """A threshold of the blessing policy, as the settings declare it."""

    @property
    def metric(self) -> str:
        """Name of the metric."""

    @property
    def slice(self) -> Mapping[str, SliceValue]:
        """Column values of the slice, or empty for all rows."""

    @property
    def min(self) -> float | None:
        """Minimum value."""

    @property
    def max(self) -> float | None:
        """Maximum value."""

    @property
    def min_change(self) -> float | None:
        """Minimum difference from the baseline."""

    @property
    def max_change(self) -> float | None:
        """Maximum difference from the baseline."""

    @property
    def better_than_trivial(self) -> float | None:
        """Minimum gain over the trivial model. See :func:`gain`."""


@dataclasses.dataclass(frozen=True)
class ThresholdResult:
    """A bound and the value that was compared with it. Its fields are those of ``summary.json``.

    Attributes:
        metric: Name of the metric.
        slice: ``overall``, or ``column=value`` pairs.
        kind: ``value``, ``change`` for a difference from the baseline, or ``better_than_trivial`` for the gain over
            the trivial model.
        comparison: ``>=`` or ``<=``: the value has to be at least, or at most, the bound.
        bound: The bound.
        value: The measured value, or ``None`` if there is none.
        ok: Whether the bound is met.
        trivial: The metric of the trivial model, or ``None`` if it was not compared.
        undefined: Why there is no value, in a few words, or ``None`` if there is one.
    """

    metric: str
    slice: str
    kind: Kind
    comparison: Comparison
    bound: float
    value: float | None
    ok: bool
    trivial: float | None = None
    undefined: str | None = None

    @property
    def absence(self) -> str:
        """What a table shows instead of a value."""
        if self.ok:
            return "no baseline"
        return NO_ROWS if self.undefined == NO_ROWS else ": ".join(filter(None, ("not defined", self.undefined)))

    def __str__(self) -> str:
        found = f"{self.value:.6g}" if is_defined(self.value) else "not defined on the eval split"
        if self.undefined:
            found = f"{found} ({self.undefined})"
        return f"{self.metric} is {found}; expected {_WORDS[self.comparison]} {self.bound:g}"


@dataclasses.dataclass(frozen=True)
class Bound:
    """One bound on a metric.

    Attributes:
        metric: Name of the metric.
        slice: ``overall``, or ``column=value`` pairs.
        kind: ``value``, ``change`` for a difference from the baseline, or ``better_than_trivial`` for the gain over
            the trivial model.
        comparison: ``>=`` or ``<=``: the value has to be at least, or at most, the bound.
        bound: The bound. A value that equals it is allowed.
    """

    metric: str
    slice: str
    kind: Kind
    comparison: Comparison
    bound: float

    def check(self, value: float | None, has_baseline: bool = True, trivial: float | None = None) -> ThresholdResult:
        """Compares a measured value with the bound.

        A value that is missing (the slice has no rows) or NaN does not meet the bound. A bound on a change is met if
        there is no baseline.

        >>> bound = Bound("auc", "overall", "value", ">=", 0.9)
        >>> bound.check(0.9).ok, bound.check(0.89).ok, bound.check(None).ok
        (True, False, False)
        >>> Bound("auc", "overall", "change", ">=", -0.01).check(None, has_baseline=False).ok
        True
        """
        met = value is not None and (value >= self.bound if self.comparison == ">=" else value <= self.bound)
        ok = met or (self.kind == "change" and not has_baseline)
        why = None if ok or is_defined(value) else self._why_undefined(value)
        return ThresholdResult(self.metric, self.slice, self.kind, self.comparison, self.bound, value, ok, trivial, why)

    def _why_undefined(self, value: float | None) -> str | None:
        kind = kind_of(self.metric)
        if kind is None:
            return None
        return NO_ROWS if value is None else f"needs {kind.needs}"


def bounds_of(threshold: Threshold) -> list[Bound]:
    """Returns the bounds that a threshold sets: ``min``, ``max``, both changes, and ``better_than_trivial``."""
    bounds: tuple[tuple[Kind, Comparison, float | None], ...] = (
        ("value", ">=", threshold.min),
        ("value", "<=", threshold.max),
        ("change", ">=", threshold.min_change),
        ("change", "<=", threshold.max_change),
        ("better_than_trivial", ">=", threshold.better_than_trivial),
    )
    name = slice_name(threshold.slice)
    return [
        Bound(threshold.metric, name, kind, comparison, bound)
        for kind, comparison, bound in bounds
        if bound is not None
    ]


def check_all(
    thresholds: Iterable[Threshold], value_of: Callable[[str, str, Measured], float | None], has_baseline: bool
) -> list[ThresholdResult]:
    """Checks every bound of a policy, in order.

    Args:
        thresholds: The blessing policy.
        value_of: Returns the measured value by metric, slice and kind, or ``None`` if there is none. The kind
            ``trivial`` asks for the metric of the trivial model.
        has_baseline: Whether the model was compared with a baseline.
    """
    bounds = [bound for threshold in thresholds for bound in bounds_of(threshold)]
    return [
        each.check(
            value_of(each.metric, each.slice, each.kind),
            has_baseline,
            value_of(each.metric, each.slice, "trivial") if each.kind == "better_than_trivial" else None,
        )
        for each in bounds
    ]


def is_defined(value: float | None) -> bool:
    """Whether a metric has a value."""
    return value is not None and not math.isnan(value)


def gain(metric: str, value: float, trivial: float) -> float:
    """How much better a metric is than that of the trivial model.

    This is the difference for metrics that are better when larger. For losses, errors and costs it is the fraction of
    the trivial model's that the model saves.

    >>> round(gain("accuracy", 0.9, 0.6), 6), gain("mse", 2.0, 8.0)
    (0.3, 0.75)
    >>> gain("mse", 0.0, 0.0)
    nan
    """
    kind = kind_of(metric)
    if kind and kind.better == "higher":
        return value - trivial
    return (trivial - value) / abs(trivial) if trivial else math.nan
