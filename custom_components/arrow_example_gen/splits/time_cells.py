"""Reads the written forms of a time.

Dates whose numbers can be a day and a month in either order are read with the day first, and say so: only all cells of
a column together tell the order.
"""

import datetime
import enum
import re
from typing import NamedTuple

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
EXAMPLES = "a number, or a date with a year of four digits such as 2020-04-25, 2020-04-25 10:00:00 or 25 Apr 2020"
INT64 = range(-(2**63), 2**63)


class Style(enum.Enum):
    """How a time is written."""

    INTEGER = enum.auto()
    FLOAT = enum.auto()
    YEAR_FIRST = enum.auto()
    MONTH_NAME = enum.auto()
    DAY_FIRST = enum.auto()
    MONTH_FIRST = enum.auto()
    EITHER_ORDER = enum.auto()  # day and month are both at most 12, and differ
    SAME_NUMBER = enum.auto()  # day and month are the same number


class Written(NamedTuple):
    """How a cell is written.

    Attributes:
        style: The style.
        zoned: Whether it has a time zone.
    """

    style: Style
    zoned: bool = False


class Time(NamedTuple):
    """A cell that was read.

    Attributes:
        value: The number, or for a date the microseconds since 1970 in UTC, or in the clock of the column.
        written: How it is written.
    """

    value: int | float
    written: Written


_DAY = r"(?P<day>\d{1,2})"
_MONTH = r"(?P<name>[A-Za-z]{3,9})\.?"
_YEAR = r"(?P<year>\d{4})"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_CLOCK = (
    r"(?:(?:T|,? |:)(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?"
)
_DATES = {
    Style.YEAR_FIRST: (
        rf"{_YEAR}(?P<s>[-/.])(?P<month>\d{{1,2}})(?P=s){_DAY}",
        rf"{_YEAR}[-/](?P<month>\d{{1,2}})",
        rf"{_YEAR}[- ]?Q(?P<quarter>[1-4])",
    ),
    Style.EITHER_ORDER: (rf"{_DAY}(?P<s>[-/.])(?P<month>\d{{1,2}})(?P=s){_YEAR}",),
    Style.MONTH_NAME: (
        rf"{_WEEKDAY}{_DAY}(?:st|nd|rd|th)?[ /.-]+{_MONTH}[ /,-]+{_YEAR}",
        rf"{_WEEKDAY}{_MONTH}[ -]{_DAY}(?:st|nd|rd|th)?,?[ -]{_YEAR}",
        rf"{_MONTH}[ -]{_YEAR}",
    ),
}
_PATTERNS = [
    (style, re.compile(date + _CLOCK, re.IGNORECASE | re.ASCII)) for style, dates in _DATES.items() for date in dates
]
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_UTC = ("Z", "UTC", "GMT", "+00:00", "+0000", "+00", "-00:00")


def read_cell(text: str) -> Time | None:
    """Reads a cell, without spaces around it. Returns ``None`` if it is not a time.

    >>> read_cell("1970-01-02").value == read_cell("2 Jan 1970").value == 86_400_000_000
    True
    >>> read_cell("25/04/2020").written.style, read_cell("03/04/2020").written.style
    (<Style.DAY_FIRST: 5>, <Style.EITHER_ORDER: 7>)
    """
    return _number(text) or _date(text)


def _number(text: str) -> Time | None:
    try:
        value = int(text)
    except ValueError:
        pass
    else:
        return Time(value, Written(Style.INTEGER)) if value in INT64 else None
    try:
        number = float(text)
    except ValueError:
        return None
    return Time(number, Written(Style.FLOAT)) if abs(number) < float("inf") else None


def _date(text: str) -> Time | None:
    if match := _COMPACT.fullmatch(text):
        year, month, day, hour, minute, second, zone = match.groups()
        text = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{zone or ''}"
    for style, pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            try:
                return _of_match(style, match.groupdict())
            except ValueError:  # such as 31 June
                return None
    return None


def _of_match(style: Style, found: dict[str, str | None]) -> Time | None:
    month = _month(found)
    is_complete = "day" in found or not found["hour"]  # no hour without a day
    if month is None or not is_complete or (found["hour"] and not found["minute"] and not found["half"]):
        return None
    day, zone = int(found.get("day") or 1), found["zone"]
    if style is Style.EITHER_ORDER:
        if zone and zone.upper() not in _UTC:  # the date in UTC depends on the order
            return None
        style, day, month = _order(day, month, str(found["s"]))
    date = datetime.datetime(int(found["year"] or 0), month, day)
    value = (date - EPOCH) // MICROSECOND + _clock(found)
    return Time(value - (_offset(zone) if zone else 0), Written(style, zoned=bool(zone)))


def _month(found: dict[str, str | None]) -> int | None:
    if name := found.get("name"):
        name = name.lower()
        if name in FULL_MONTHS:
            return FULL_MONTHS.index(name) + 1
        return MONTHS.index(name) + 1 if name in MONTHS else 9 if name == "sept" else None
    if quarter := found.get("quarter"):
        return 3 * int(quarter) - 2
    return int(found.get("month") or 0)


def _order(first: int, second: int, separator: str) -> tuple[Style, int, int]:
    """The order of the first two numbers of a date, the day and the month."""
    if second > 12:
        return Style.MONTH_FIRST, second, first
    if first > 12 or separator == ".":  # with dots, the day is first
        return Style.DAY_FIRST, first, second
    return Style.SAME_NUMBER if first == second else Style.EITHER_ORDER, first, second


def _clock(found: dict[str, str | None]) -> int:
    """Microseconds since midnight.

    Raises:
        ValueError: There is no such time.
    """
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if half := found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half in "pP" else 0)
    micros = int(((found["fraction"] or "") + "000000")[:6])
    time = datetime.time(hour, minute, second, micros)
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 1_000_000 + time.microsecond


def _offset(zone: str) -> int:
    """Microseconds that a zone is ahead of UTC."""
    if zone.upper() in _UTC:
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (hours * 60 + minutes) * 60_000_000 * (-1 if zone[0] == "-" else 1)
