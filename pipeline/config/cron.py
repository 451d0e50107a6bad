"""Checks the times at which a schedule starts runs."""

import re
import zoneinfo

from pipeline.config.errors import unknown_name

# Name of each field, with its smallest and its largest number.
FIELDS = (("minutes", 0, 59), ("hours", 0, 23), ("days", 1, 31), ("months", 1, 12), ("days of the week", 0, 7))
ZONE = "TZ="
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NAMES = {"months": MONTHS, "days of the week": DAYS}
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/[1-9][0-9]*)?", re.ASCII)


def check_cron(text: str) -> str:
    """Five fields as of a crontab, perhaps behind a time zone (``TZ=Europe/Berlin``); returned as they are.

    Raises:
        ValueError: A zone that does not exist, or a field that no time meets.
    """
    *zone, fields = text.split(" ", 1) if text.startswith(ZONE) else [text]
    known = zoneinfo.available_timezones() if zone else set()
    if known and (name := zone[0].removeprefix(ZONE)) not in known:  # a machine may know none
        raise ValueError(unknown_name("TZ", "time zone", name, known))
    for (name, low, high), field in zip(FIELDS, fields.split(), strict=True):
        if not all(_is_part(part, NAMES.get(name, ()), low, high) for part in field.split(",")):
            raise ValueError(
                f"found the {name} '{field}'; expected *, numbers from {low} to {high}, ranges (1-5) and steps (*/2), "
                "joined by commas"
            )
    return text


def _is_part(part: str, names: tuple[str, ...], low: int, high: int) -> bool:
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
