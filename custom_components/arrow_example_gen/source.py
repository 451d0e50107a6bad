"""Which files are a table, and what is in them, for code that must not import TFX."""

import dataclasses
import datetime
import re
from typing import Literal, get_args

Format = Literal["csv", "parquet", "tfrecord"]
FORMATS = get_args(Format)
DATE = ("YYYY", "MM", "DD")
EPOCH = datetime.date(1970, 1, 1)
LAST_DAY = (datetime.date.max - EPOCH).days
TOKEN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::([^{}]*))?\}")
MOST_DIGITS = 18  # of a number that ML Metadata has room for
WIDTHS = frozenset(map(str, range(1, MOST_DIGITS + 1)))
_ENDING = re.compile(rf"\.({'|'.join(FORMATS)})(\.gz)?$")


@dataclasses.dataclass(frozen=True)
class Source:
    """The files of a table.

    Attributes:
        folder: Where they are.
        pattern: Which files of it; ``{SPAN}``, ``{VERSION}``, or ``{YYYY}``, ``{MM}`` and ``{DD}`` in it stand for
            those of the latest span and of its latest version.
        format: What is in them.
        span: Another span than the latest.
    """

    folder: str
    pattern: str
    format: Format
    span: int | None = None


def format_of(pattern: str) -> Format | None:
    """The format that the ending of a pattern says; ``None`` if it says none, or one that is not unzipped here."""
    found = _ENDING.search(pattern)
    if found is None or (found[1] == "parquet" and found[2]):
        return None
    return next(each for each in FORMATS if each == found[1])


def check_pattern(pattern: str, kind: Format | None, span: int | None) -> None:
    """Checks the pattern of a table's files.

    Args:
        pattern: Of files, within their folder.
        kind: What is in them; ``None`` leaves it to the pattern's ending.
        span: The one that is asked for.

    Raises:
        ValueError: It leads out of the folder, says no format, or says of spans what TFX would refuse.
    """
    if not {"", ".", ".."}.isdisjoint(pattern.split("/")):
        raise ValueError(
            f"pattern: found '{pattern}'; expected one within the folder, without '.', '..', '//' or a '/' at an end"
        )
    if odd := re.search(r"[{}\\]", TOKEN.sub("", pattern)):  # TFX takes each for more than a letter of a name
        raise ValueError(
            f"pattern: found '{odd[0]}' in '{pattern}'; expected {{SPAN}}, {{VERSION}}, {{YYYY}}, {{MM}} and {{DD}} "
            "alone in braces, and no backslash"
        )
    if kind is None and format_of(pattern) is None:
        raise ValueError(
            f"pattern: found '{pattern}', whose ending says no format; expected .csv, .parquet or .tfrecord, .csv.gz "
            "or .tfrecord.gz, or data.format beside it"
        )
    _check_spans(pattern, span)


def _check_spans(pattern: str, span: int | None) -> None:
    found = [match[1] for match in TOKEN.finditer(pattern)]
    twice = next((name for name in found if found.count(name) > 1), None)
    dates = [name for name in DATE if name in found]
    if twice:
        raise ValueError(f"pattern: found {{{twice}}} twice in '{pattern}'; expected it once")
    if dates and len(dates) < len(DATE):
        raise ValueError(
            f"pattern: found {{{dates[0]}}} in '{pattern}'; expected {{YYYY}}, {{MM}} and {{DD}}, or none of them"
        )
    if dates and "SPAN" in found:
        raise ValueError(
            f"pattern: found both {{SPAN}} and a date in '{pattern}'; expected one of them, since a date is a span"
        )
    if "VERSION" in found and not dates and "SPAN" not in found:
        raise ValueError(f"pattern: found {{VERSION}} without {{SPAN}} in '{pattern}'; expected the span that it is of")
    for name, width in TOKEN.findall(pattern):
        if f"{{{name}:" in pattern and (name in DATE or width not in WIDTHS):
            raise ValueError(
                f"pattern: found {{{name}:{width}}} in '{pattern}'; expected {{{name}}}, or digits as in {{SPAN:2}}"
            )
    if span is not None and dates and span > LAST_DAY:
        raise ValueError(f"span: found {span}; expected a date's number of days since 1970, at most {LAST_DAY}")
    if span is not None and not found:
        raise ValueError(
            f"span: found {span}, and no {{SPAN}} in the pattern '{pattern}'; leave it out, or say where it is"
        )
