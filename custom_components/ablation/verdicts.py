"""What the numbers say about a column or a group of columns."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from artifacts.nodes.ablation import Estimate, Kind, Verdict, Worth

LEAK_ALONE = 0.9  # of the gain of all columns, which a suspect reaches alone
LEAK_TIMES = 3.0  # the worth of any other, which that of a suspect exceeds
LEAK_GAIN = 0.5  # of a perfect model's gain, which the model with all columns has if there is a leak
ALMOST_ALL = 0.98  # of a perfect model's gain: a column that reaches it alone is suspect, whatever it is worth
SURE = 1.5  # times the reach of its interval below it: what a column gains alone if it is no noise
CLOSE = 0.5  # association from which on another column is named


@dataclasses.dataclass(frozen=True)
class Scale:
    """What differences are compared with.

    Attributes:
        gain: How much better all columns are than the trivial model.
        perfect: How much better perfect predictions are than the trivial model.
        margin: Differences up to this one count as nothing.
    """

    gain: Estimate
    perfect: float
    margin: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """A column or a group, without its verdict. The attributes are those of :class:`artifacts.nodes.ablation.Worth`."""

    name: str
    kind: Kind
    columns: Sequence[str]
    worth: Estimate
    alone: Estimate | None
    metric: float


def judge(measured: Sequence[Measured], scale: Scale, closest: Mapping[str, tuple[str, float]]) -> list[Worth]:
    """Gives each column and group a verdict.

    In this order:

    - ``leak``: the model with all columns gains at least half of what a perfect one would, this column alone reaches
      90% of that gain, and the lower end of its worth is more than the margin and more than three times the worth of
      any other (of those without a column in common). In a group with such a worth, these are the columns that alone
      reach 90%. Or it alone reaches 98% of a perfect model's gain.
    - ``useful``: the lower end of its worth is above 0.
    - ``redundant`` or ``noise``: the interval of its worth is within the margin. It is redundant if alone it gains more
      than the margin, and by half more than its interval reaches down, since by chance one of forty noise columns would
      have an interval above 0: the other columns have the same information.
    - ``harmful``: the upper end of its worth is below 0.
    - ``unclear``: anything else.

    Args:
        measured: All columns and groups.
        scale: What to compare with.
        closest: By column: the column that is most associated with it, and how strongly.
    """
    leaks = _leaks(measured, scale)
    found = []
    for each in measured:
        partner, association = (closest.get(each.name) or (None, None)) if each.kind == "column" else (None, None)
        if association is not None and association < CLOSE:
            partner = association = None
        leak = leaks.get((each.kind, each.name))
        verdict = "leak" if leak else _verdict(each, scale)
        reason = leak or _reason(each, verdict, scale, partner)
        fields = {field.name: getattr(each, field.name) for field in dataclasses.fields(each)}
        found.append(Worth(**fields, verdict=verdict, reason=reason, partner=partner, association=association))
    return sorted(found, key=lambda each: (each.kind != "column", -each.worth.value))


def _verdict(each: Measured, scale: Scale) -> Verdict:
    worth, alone, margin = each.worth, each.alone, scale.margin
    if not scale.gain.low > 0:
        return "unclear"  # there is nothing to lose
    if worth.low > 0:
        return "useful"
    if _is_nothing(worth, margin):
        if alone is None:
            return "unclear"
        is_sure = alone.value > SURE * (alone.value - alone.low)
        return "redundant" if is_sure and alone.value > margin else "noise"
    return "harmful" if worth.high < 0 else "unclear"


def _is_nothing(worth: Estimate, margin: float) -> bool:
    return -margin < worth.low and worth.high < margin


def _reason(each: Measured, verdict: Verdict, scale: Scale, partner: str | None) -> str:
    if not scale.gain.low > 0:
        return "the model with all columns is not better than a constant"
    match verdict:
        case "useful":
            return f"without it the model loses {each.worth.value / scale.gain.value:.0%} of its gain"
        case "redundant":
            others = f"'{partner}' has" if partner else "the other columns have"
            return f"alone it reaches {_share(each.alone, scale)} of the gain, but {others} the same information"
        case "noise":
            return "leaving it out costs nothing, and alone it is not clearly better than a constant"
        case "harmful":
            return "the model is better without it"
    if _is_nothing(each.worth, scale.margin):
        reason = "leaving it out costs nothing, but no feature is computed from it alone"
    else:
        reason = "the interval is too wide to tell: use more repeats, or more validation rows"
    return reason


def _leaks(measured: Sequence[Measured], scale: Scale) -> dict[tuple[Kind, str], str]:
    """Why a column or a group is too good to be true, by kind and name. A group can have the name of a column."""
    found: dict[tuple[Kind, str], str] = {}
    for each in measured:
        if each.alone and each.alone.value >= ALMOST_ALL * scale.perfect > 0:
            share = each.alone.value / scale.perfect
            found[each.kind, each.name] = (
                f"alone it reaches {share:.0%} of a perfect model: is it known before the label?"
            )
        elif _dominates(each, measured, scale):
            reason = f"alone it reaches {_share(each.alone, scale)} of the gain, and without it the model loses "
            lost = f"{each.worth.value / scale.gain.value:.0%}"
            found[each.kind, each.name] = f"{reason}{lost}: is it known before the label?"
            found |= _members(each, measured, scale)
    return found


def _members(group: Measured, measured: Sequence[Measured], scale: Scale) -> dict[tuple[Kind, str], str]:
    """The columns of a suspect group that are suspect themselves. Each may be worth nothing if others repeat it."""
    inside: Collection[str] = () if group.kind == "column" else group.columns
    return {
        (
            each.kind,
            each.name,
        ): f"alone it reaches {_share(each.alone, scale)} of the gain, and it belongs to '{group.name}'"
        for each in measured
        if each.kind == "column" and each.name in inside and _reaches_alone(each, scale)
    }


def _dominates(each: Measured, measured: Sequence[Measured], scale: Scale) -> bool:
    others = [other.worth.value for other in measured if not set(other.columns) & set(each.columns)]
    return (
        scale.gain.value >= LEAK_GAIN * scale.perfect > 0
        and _reaches_alone(each, scale)
        and each.worth.low > max(scale.margin, LEAK_TIMES * max(others, default=0.0))
    )


def _reaches_alone(each: Measured, scale: Scale) -> bool:
    return each.alone is not None and each.alone.value >= LEAK_ALONE * scale.gain.value


def _share(alone: Estimate | None, scale: Scale) -> str:
    return f"{alone.value / scale.gain.value:.0%}" if alone else "none"
