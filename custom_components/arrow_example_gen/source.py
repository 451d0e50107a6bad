"""The files of a table: their folder, pattern and format. Imports neither TFX nor pyarrow."""

import dataclasses
import datetime
import re

from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.file_format import FORMATS, Format

DATE = ("YYYY", "MM", "DD")
EPOCH = datetime.date(1970, 1, 1)
LAST_DAY = (datetime.date.max - EPOCH).days
TOKEN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::([^{}]*))?\}")
MAX_DIGITS = 18  # of a number that fits into ML Metadata
WIDTHS = frozenset(map(str, range(1, MAX_DIGITS + 1)))
_EXTENSION = re.compile(rf"\.({'|'.join(FORMATS)})(\.gz)?$")


@dataclasses.dataclass(frozen=True)
class Source:
    """The files of a table.

    Attributes:
        folder: Folder of the files.
        pattern: Pattern of the files' paths within the folder. ``{SPAN}`` and ``{VERSION}``, or ``{YYYY}``, ``{MM}``
            and ``{DD}``, stand for the latest span and its latest version.
        format: Format of the files.
        span: A span to read in place of the latest one.
        missing_values: Cells of text files that mean a missing value, in addition to the empty cell.
        dialect: Delimiter and encoding of text files.
    """

    folder: str
    pattern: str
    format: Format
    span: int | None = None
    missing_values: tuple[str, ...] = ()
    dialect: Dialect = COMMAS


def format_of(pattern: str) -> Format | None:
    """The format that a pattern's extension names, or ``None``.

    >>> format_of("{SPAN}/*.csv.gz")
    'csv'
    >>> format_of("*.parquet.gz") is None
    True
    """
    found = _EXTENSION.search(pattern)
    if found is None or (found[2] and not FORMATS[found[1]].can_be_gzipped):
        return None
    return found[1]


def last_part(pattern: str) -> str:
    """The last part of a pattern, for files of another folder, with ``*`` for spans and versions.

    >>> last_part("{SPAN}/*.csv.gz"), last_part("{YYYY}-{MM}-{DD}.csv")
    ('*.csv.gz', '*-*-*.csv')
    """
    return TOKEN.sub("*", pattern.rsplit("/", 1)[-1])


def check_pattern(pattern: str, kind: Format | None, span: int | None) -> None:
    """Checks the pattern of a table's files.

    Args:
        pattern: Pattern of the files' paths within their folder.
        kind: Format of the files, or ``None`` if the pattern's extension names it.
        span: The span to read, or ``None`` for the latest.

    Raises:
        ValueError: The pattern leaves the folder, names no format, or has spans that TFX does not accept.
    """
    if not {"", ".", ".."}.isdisjoint(pattern.split("/")):
        raise ValueError(
            f"pattern: found '{pattern}'; expected a path within the folder, without '.', '..', '//' and without a "
            "leading or trailing '/'"
        )
    if special := re.search(r"[{}\\]", TOKEN.sub("", pattern)):  # TFX gives each of them a meaning
        raise ValueError(
            f"pattern: found '{special[0]}' in '{pattern}'; expected {{SPAN}}, {{VERSION}}, {{YYYY}}, {{MM}} and "
            "{DD} as the only braces, and no backslash"
        )
    if kind is None and format_of(pattern) is None:
        extensions = [
            f".{name}{gz}" for name, spec in FORMATS.items() for gz in ("", ".gz") if not gz or spec.can_be_gzipped
        ]
        raise ValueError(
            f"pattern: found '{pattern}', whose extension names no format; expected {', '.join(extensions)}, or "
            "set data.format"
        )
    _check_spans(pattern, span)


def _check_spans(pattern: str, span: int | None) -> None:
    found = [match[1] for match in TOKEN.finditer(pattern)]
    repeated = next((name for name in found if found.count(name) > 1), None)
    dates = [name for name in DATE if name in found]
    if repeated:
        raise ValueError(f"pattern: found {{{repeated}}} twice in '{pattern}'; expected it once")
    if dates and len(dates) < len(DATE):
        raise ValueError(
            f"pattern: found {{{dates[0]}}} in '{pattern}'; expected all of {{YYYY}}, {{MM}} and {{DD}}, or none"
        )
    if dates and "SPAN" in found:
        raise ValueError(
            f"pattern: found both {{SPAN}} and a date in '{pattern}'; expected one of them, since a date is a span"
        )
    if "VERSION" in found and not dates and "SPAN" not in found:
        raise ValueError(f"pattern: found {{VERSION}} without {{SPAN}} in '{pattern}'; expected a span with versions")
    for name, width in TOKEN.findall(pattern):
        if f"{{{name}:" in pattern and (name in DATE or width not in WIDTHS):
            raise ValueError(
                f"pattern: found {{{name}:{width}}} in '{pattern}'; expected {{{name}}}, or a width as in {{SPAN:2}}"
            )
    if span is not None and dates and span > LAST_DAY:
        raise ValueError(f"span: found {span}; expected a date as the number of days since 1970, at most {LAST_DAY}")
    if span is not None and not found:
        raise ValueError(f"span: found {span}, but no {{SPAN}} in the pattern '{pattern}'; remove one or add the other")
