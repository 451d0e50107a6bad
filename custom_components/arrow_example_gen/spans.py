"""Finds the files of a table, and resolves spans and versions as TFX's driver does, without importing TFX."""

import datetime
import glob
import os
import re
from collections.abc import Mapping

from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.source import DATE, EPOCH, MAX_DIGITS, TOKEN, Source

DATE_WIDTHS = dict(zip(DATE, ("4", "2", "2"), strict=True))


def files_of(source: Source) -> list[str]:
    """The files of a table, sorted by path. Hidden files are included, as in TFX.

    Raises:
        TableError: No file matches, or TFX cannot read a file's name.
    """
    pattern = resolve(source.folder, source.pattern, source.span)
    paths = [path for path in matching(source.folder, pattern) if not os.path.isdir(path)]
    if not paths:
        raise TableError(f"{source.folder}: found no file that matches {pattern}; expected at least one")
    if invalid := next((path for path in paths if path.encode(errors="replace").decode() != path), None):
        raise TableError(f"{invalid!a}: found a name that is not UTF-8, which TFX cannot read; rename the file")
    return paths


def resolve(folder: str, pattern: str, span: int | None) -> str:
    """Resolves the span and version in a pattern.

    Args:
        folder: Folder of the files.
        pattern: A pattern that ``check_pattern`` accepts.
        span: The span, or ``None`` for the latest.

    Returns:
        The pattern of the files of the span's latest version.

    Raises:
        TableError: No file matches, or a file has a name without a number where one is expected.

    >>> resolve("data", "*.csv", None)
    '*.csv'
    """
    if not TOKEN.search(pattern):
        return pattern
    given = {} if span is None else _strings(pattern, span)
    wildcards = dict.fromkeys(("SPAN", "VERSION", *DATE), "*") | given
    parts = TOKEN.split(os.path.join(folder, pattern))
    named = re.compile("".join(map(_expression, parts[::3], [*parts[1::3], ""], [*parts[2::3], ""])))
    found = []
    for path in matching(folder, _fill(pattern, wildcards)):
        if match := named.fullmatch(path):
            found.append((_numbers(path, match.groupdict()), match.groupdict()))
    if not found:
        of_span = "" if span is None else f" of span {span}"
        raise TableError(f"{folder}: found no file{of_span} that matches {pattern}; expected at least one")
    numbers, strings = max(found, key=lambda each: each[0])
    _check_widths(folder, pattern, numbers, strings)
    return _fill(pattern, strings)


def matching(folder: str, pattern: str) -> list[str]:
    """Sorted paths that match a pattern without spans. Hidden files are included, as in TFX.

    Raises:
        TableError: A folder cannot be read. Its files would be left out, such as those of the latest span.
    """
    parts = pattern.split("/")[:-1]
    for depth in range(len(parts) + 1):
        for path in _glob(os.path.join(folder, *parts[:depth])):
            _check_readable(path)
    return _glob(os.path.join(folder, pattern))


def _glob(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, include_hidden=True))


def _check_readable(path: str) -> None:
    """Checks that files can be listed and opened, if the path is a folder. Raises like :func:`matching`."""
    try:
        if os.path.isdir(path):
            os.stat(os.path.join(path, os.curdir))
            os.scandir(path).close()
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}; expected a readable folder (data.path or --data)") from error


def _fill(pattern: str, strings: Mapping[str, str]) -> str:
    return TOKEN.sub(lambda match: strings[match[1]], pattern)


def _expression(literal: str, name: str, width: str | None) -> str:
    """A regular expression for a literal part of a pattern and the token that follows it."""
    escaped = re.escape(literal).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    width = width or DATE_WIDTHS.get(name)
    return escaped + (f"(?P<{name}>.{{{width}}})" if width else f"(?P<{name}>.*)" if name else "")


def _numbers(path: str, strings: Mapping[str, str]) -> tuple[int, int]:
    """Span and version of a file. The span of a date is its number of days since 1970."""
    for name, text in strings.items():
        if not text.isdecimal() or len(text) > MAX_DIGITS:
            raise TableError(
                f"{path}: found '{text}' where the pattern has {{{name}}}; expected a number of at most {MAX_DIGITS} "
                "digits"
            )
    version = int(strings.get("VERSION", 0))
    if "SPAN" in strings:
        return int(strings["SPAN"]), version
    try:
        date = datetime.date(*(int(strings[name]) for name in DATE))
    except ValueError as error:
        raise TableError(
            f"{path}: {error}; expected a date where the pattern has {{YYYY}}, {{MM}} and {{DD}}"
        ) from error
    return (date - EPOCH).days, version


def _strings(pattern: str, span: int) -> dict[str, str]:
    """The strings for a span in the names of files, by token."""
    for name, width in TOKEN.findall(pattern):
        if name == "SPAN":
            return {"SPAN": str(span).zfill(int(width or 0))}
    date = EPOCH + datetime.timedelta(span)
    return dict(zip(DATE, (f"{date.year:04}", f"{date.month:02}", f"{date.day:02}"), strict=True))


def _check_widths(folder: str, pattern: str, numbers: tuple[int, int], strings: Mapping[str, str]) -> None:
    """Rejects leading zeros without a width: TFX would insert the number into the pattern without them."""
    widths = dict(TOKEN.findall(pattern))
    for name, number in zip(("SPAN", "VERSION"), numbers, strict=True):
        text = strings.get(name, str(number))
        if not widths.get(name) and text != str(number):
            raise TableError(
                f"{folder}: found '{text}' where {pattern} has {{{name}}}; expected '{number}', or "
                f"{{{name}:{len(text)}}} in the pattern, with the number of digits"
            )
