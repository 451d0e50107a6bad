"""The files of a table, spans and versions resolved as TFX's driver does it, without importing TFX."""

import datetime
import glob
import os
import re
from collections.abc import Mapping

from custom_components.arrow_example_gen.files import TableError
from custom_components.arrow_example_gen.source import DATE, EPOCH, MOST_DIGITS, TOKEN, Source

DATE_WIDTHS = dict(zip(DATE, ("4", "2", "2"), strict=True))


def files_of(source: Source) -> list[str]:
    """The files of a table, in its order, hidden ones too, as TFX finds them.

    Raises:
        TableError: There is none, or one has a name that TFX cannot read.
    """
    pattern = resolve(source.folder, source.pattern, source.span)
    paths = [path for path in matching(source.folder, pattern) if not os.path.isdir(path)]
    if not paths:
        raise TableError(f"{source.folder}: found no file that matches {pattern}; expected at least one")
    if odd := next((path for path in paths if path.encode(errors="replace").decode() != path), None):
        raise TableError(f"{odd!a}: found a name that is not UTF-8, which TFX cannot read; rename the file")
    return paths


def resolve(folder: str, pattern: str, span: int | None) -> str:
    """The pattern of the files of one span, the latest if none is given, and of its latest version.

    Args:
        folder: Where the files are.
        pattern: That ``check_pattern`` passed.
        span: The one that is asked for.

    Raises:
        TableError: There is none, or a name that is no number stands where one has to.
    """
    if not TOKEN.search(pattern):
        return pattern
    asked = {} if span is None else _texts(pattern, span)
    wildcards = dict.fromkeys(("SPAN", "VERSION", *DATE), "*") | asked
    parts = TOKEN.split(os.path.join(folder, pattern))
    named = re.compile("".join(map(_expression, parts[::3], [*parts[1::3], ""], [*parts[2::3], ""])))
    found = []
    for path in matching(folder, _fill(pattern, wildcards)):
        if match := named.fullmatch(path):
            found.append((_numbers(path, match.groupdict()), match.groupdict()))
    if not found:
        which = "" if span is None else f" of span {span}"
        raise TableError(f"{folder}: found no file{which} that matches {pattern}; expected at least one")
    numbers, texts = max(found, key=lambda each: each[0])
    _check_widths(folder, pattern, numbers, texts)
    return _fill(pattern, texts)


def matching(folder: str, pattern: str) -> list[str]:
    """Paths that a pattern without spans stands for, hidden ones too, as TFX finds them, in the table's order."""
    return sorted(glob.glob(os.path.join(folder, pattern), include_hidden=True))


def _fill(pattern: str, texts: Mapping[str, str]) -> str:
    return TOKEN.sub(lambda match: texts[match[1]], pattern)


def _expression(literal: str, name: str, width: str | None) -> str:
    """A regular expression for a piece of a pattern and the name that follows it."""
    escaped = re.escape(literal).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    width = width or DATE_WIDTHS.get(name)
    return escaped + (f"(?P<{name}>.{{{width}}})" if width else f"(?P<{name}>.*)" if name else "")


def _numbers(path: str, texts: Mapping[str, str]) -> tuple[int, int]:
    """Span and version of a file; a date is its number of days since 1970."""
    for name, text in texts.items():
        if not text.isdecimal() or len(text) > MOST_DIGITS:
            raise TableError(
                f"{path}: found '{text}' where the pattern has {{{name}}}; expected a number of at most {MOST_DIGITS} "
                "digits"
            )
    version = int(texts.get("VERSION", 0))
    if "SPAN" in texts:
        return int(texts["SPAN"]), version
    try:
        date = datetime.date(*(int(texts[name]) for name in DATE))
    except ValueError as error:
        raise TableError(
            f"{path}: {error}; expected a date where the pattern has {{YYYY}}, {{MM}} and {{DD}}"
        ) from error
    return (date - EPOCH).days, version


def _texts(pattern: str, span: int) -> dict[str, str]:
    """What stands for a span in the names of files."""
    for name, width in TOKEN.findall(pattern):
        if name == "SPAN":
            return {"SPAN": str(span).zfill(int(width or 0))}
    date = EPOCH + datetime.timedelta(span)
    return dict(zip(DATE, (f"{date.year:04}", f"{date.month:02}", f"{date.day:02}"), strict=True))


def _check_widths(folder: str, pattern: str, numbers: tuple[int, int], texts: Mapping[str, str]) -> None:
    """TFX reads a number, and writes it back into the pattern without zeros before it, unless it knows the width."""
    widths = dict(TOKEN.findall(pattern))
    for name, number in zip(("SPAN", "VERSION"), numbers, strict=True):
        text = texts.get(name, str(number))
        if not widths.get(name) and text != str(number):
            raise TableError(
                f"{folder}: found '{text}' where {pattern} has {{{name}}}; expected '{number}', or "
                f"{{{name}:{len(text)}}} in the pattern, which says how many digits there are"
            )
