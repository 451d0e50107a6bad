"""Finds out how the dates of a column are written."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.problem.date_formats import ISO, MONTHS, WEEKDAYS, parse_format
from models.problem.dates import FIRST_DAY, LAST_DAY, PER_DAY, Date, Unit
from pipeline.date_values import Dates, read_dates

TRIED = 100  # distinct values whose forms are tried
MIN_SHARE = 0.95  # of the rows whose dates have the form
_UNITS: tuple[Unit, ...] = ("s", "ms", "us", "ns")
_PLAUSIBLE = (3_653, 47_482)  # 1980 to 2100, in days since 1970
_CLOCK = re.compile(
    r"(?P<before>T| |, ?)?(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2})?(?P<point>[.,]\d{1,9})?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?$"
)
_WEEKDAY = re.compile(rf"({'|'.join(day[:3] for day in WEEKDAYS)})([a-z]*)(?=[, ])", re.IGNORECASE)
_MONTH = re.compile(rf"({'|'.join(month[:3] for month in MONTHS)})([a-z]*)", re.IGNORECASE)
_YEAR_FIRST = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}$")
_YEAR_LAST = re.compile(r"\d{1,2}([-/.])\d{1,2}\1(\d{4}|\d{2})$")


class DateStyle(NamedTuple):
    """How the dates of a column are written.

    Attributes:
        spec: The format, or the unit.
        share: Fraction of the rows whose values have it.
        dates: The dates of the distinct values that have it.
        other_order: The format with day and month exchanged, if all dates could have it, too.
    """

    spec: Date
    share: float
    dates: Dates
    other_order: str | None = None


def find_style(values: pa.Array, rows: npt.NDArray[np.int64]) -> DateStyle | None:
    """Finds the style of most dates of a column.

    Args:
        values: Distinct values, as text or int64.
        rows: Number of rows with each value.
    """
    if pa.types.is_integer(values.type):
        specs = [Date(format="%Y%m%d"), *(Date(unit=unit) for unit in _UNITS)]
        return next((style for spec in specs if (style := _style(values, rows, spec)) and _is_plausible(style)), None)
    texts: Sequence[str] = values.slice(0, TRIED).to_pylist()
    formats = dict.fromkeys([ISO, *(each for text in texts for each in formats_of(text))])
    styles = [style for each in formats if (style := _style(values, rows, Date(format=each)))]
    best = max(styles, key=lambda style: style.share, default=None)
    if best is None or best.share < MIN_SHARE:
        return None
    return best._replace(other_order=_other_order(best, styles))


def formats_of(text: str) -> Iterator[str]:
    """Yields the formats that a date can have.

    >>> list(formats_of("3/04/2020 1:30 PM"))
    ['%m/%d/%Y %I:%M %p', '%d/%m/%Y %I:%M %p']
    >>> list(formats_of("Sat, 25 April 2020"))
    ['%a, %d %B %Y']
    """
    clock = _CLOCK.search(text)
    date = text[: clock.start()] if clock else text
    time = _time_format(clock) if clock else ""
    for found in _date_formats(date) if date else [""]:
        with contextlib.suppress(ValueError):  # such as a date without a year
            parse_format(found + time)
            yield found + time


def _date_formats(date: str) -> Iterator[str]:
    if match := _YEAR_FIRST.match(date):
        yield f"%Y{match[1]}%m{match[1]}%d"
    elif match := _YEAR_LAST.match(date):
        separator, year = match[1], "%Y" if len(match[2]) == 4 else "%y"
        orders = (("m", "d"), ("d", "m")) if separator == "/" else (("d", "m"), ("m", "d"))
        for first, second in orders:
            yield f"%{first}{separator}%{second}{separator}{year}"
    elif match := re.match(r"\d{4}([- ]?)[Qq][1-4]$", date):
        yield f"%Y{match[1]}{date[-2]}%q"
    elif match := re.match(r"\d{4}([-/])\d{2}$", date):
        yield f"%Y{match[1]}%m"
    else:
        yield from _named(date)


def _named(date: str) -> Iterator[str]:
    """The format of a date with the name of its month."""
    found = date
    if match := _WEEKDAY.match(found):
        found = ("%A" if match[2] else "%a") + found[match.end() :]
    month = next((each for each in _MONTH.finditer(found) if found[each.start() - 1 : each.start()] != "%"), None)
    if month is None:
        return
    name = "%B" if month[2] else "%b"
    found = f"{found[: month.start()]}{name}{found[month.end() :]}"
    found = re.sub(r"(?<!\d)\d{4}(?!\d)", "%Y", found, count=1)
    found = re.sub(r"(?<!\d)\d{1,2}(?!\d)", "%d", found, count=1)
    yield re.sub(r"(?<!\d)\d{2}$", "%y", found)


def _time_format(clock: re.Match[str]) -> str:
    hour, minute = ("%I", "%M") if clock["half"] else ("%H", "%M")
    second = ":%S" if clock["second"] else ""
    point = f"{clock['point'][0]}%f" if clock["point"] else ""
    half = f"{' ' if (clock['half'] or '').startswith(' ') else ''}%p" if clock["half"] else ""
    zone = clock["zone"] or ""
    space, name = " " if zone.startswith(" ") else "", zone.strip()
    return f"{clock['before'] or ''}{hour}:{minute}{second}{point}{half}{space}" + (
        name if name in ("UTC", "GMT") else "%z" if name else ""
    )


def _style(values: pa.Array, rows: npt.NDArray[np.int64], spec: Date) -> DateStyle | None:
    dates = read_dates(values, spec)
    if not dates.valid.any():
        return None
    share = float(rows[dates.valid].sum() / rows.sum())
    valid = dates.valid
    return DateStyle(spec, share, Dates(valid[valid], dates.days[valid], dates.seconds[valid]))


def _is_plausible(style: DateStyle) -> bool:
    """Whether all integers are dates, and with a unit those of the recent past or the near future."""
    low, high = _PLAUSIBLE if style.spec.unit else (FIRST_DAY, LAST_DAY)
    return style.share == 1 and bool((style.dates.days >= low).all() and (style.dates.days < high).all())


def _other_order(best: DateStyle, styles: Sequence[DateStyle]) -> str | None:
    """The format with day and month exchanged, if as many dates have it and they differ."""
    own = best.spec.format or ""
    exchanged = own.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
    for style in styles:
        if style.spec.format == exchanged != own and style.share == best.share:
            return None if np.array_equal(style.dates.days, best.dates.days) else exchanged
    return None


def is_epoch(low: float, high: float) -> bool:
    """Whether a range of integers is one of recent times in some unit.

    >>> is_epoch(1.6e9, 1.7e9), is_epoch(1.6e12, 1.7e12), is_epoch(0, 1.7e9)
    (True, True, False)
    """
    return any(_PLAUSIBLE[0] * PER_DAY[unit] <= low and high < _PLAUSIBLE[1] * PER_DAY[unit] for unit in _UNITS)
