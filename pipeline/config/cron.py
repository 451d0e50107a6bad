"""Checks cron expressions."""

import re
import zoneinfo

from pipeline.config.errors import unknown_name

# Name, minimum and maximum of each field.
FIELDS = (("minutes", 0, 59), ("hours", 0, 23), ("days", 1, 31), ("months", 1, 12), ("days of the week", 0, 7))
ZONE = "TZ="
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NAMES = {"months": MONTHS, "days of the week": DAYS}
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/[1-9][0-9]*)?", re.ASCII)


def check_cron(text: str) -> str:
    """Checks a cron expression of five fields, with an optional time zone in front, and returns it unchanged.

    >>> check_cron("TZ=Europe/Berlin 0 3 * * MON-FRI")
    'TZ=Europe/Berlin 0 3 * * MON-FRI'
    >>> check_cron("0 25 * * *")
    Traceback (most recent call last):
    ValueError: found the hours '25'; expected *, numbers from 0 to 23, ranges (1-5) and steps (*/2), joined by commas

    Raises:
        ValueError: The time zone does not exist, or a field is invalid.
    """
    *zone, fields = text.split(" ", 1) if text.startswith(ZONE) else [text]
    known = zoneinfo.available_timezones() if zone else set()
    if known and (name := zone[0].removeprefix(ZONE)) not in known:  # a machine may lack the time zone database
        raise ValueError(unknown_name("TZ", "time zone", name, known))
    for (name, low, high), field in zip(FIELDS, fields.split(), strict=True):
        if not all(_is_valid(part, NAMES.get(name, ()), low, high) for part in field.split(",")):
            raise ValueError(
                f"found the {name} '{field}'; expected *, numbers from {low} to {high}, ranges (1-5) and steps (*/2), "
                "joined by commas"
            )
    return text


def _is_valid(part: str, names: tuple[str, ...], low: int, high: int) -> bool:
    found = _PART.fullmatch(part)
    if not found:
        return False
    ends = [_number(each, names, low) for each in found.groups() if each]
    numbers = [each for each in ends if each is not None and low <= each <= high]
    return len(numbers) == len(ends) and numbers == sorted(numbers)


def _number(text: str, names: tuple[str, ...], low: int) -> int | None:
    if text.upper() in names:
        return low + names.index(text.upper())
    return int(text) if text.isdecimal() else None
