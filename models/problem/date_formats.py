"""Formats of dates and times as text: ISO 8601, or directives as in Python's ``strptime``.

A format becomes a sequence of elements, which :mod:`models.transforms.date_texts` reads in TensorFlow's graph. It also
becomes a regular expression, by which a table is checked before a run. Both read a text from left to right without ever
going back, so they agree.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

ISO = "iso"
MAX_WIDTH = 50  # characters of a text
MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DIGITS = 9  # of a fraction of a second, at most
ZONE_WIDTH = 6


class Number(NamedTuple):
    """Digits, as many as there are up to the maximum.

    Attributes:
        field: What the number is.
        min: Minimum number of digits.
        max: Maximum number of digits.
    """

    field: str
    min: int
    max: int

    @property
    def width(self) -> int:
        """Maximum number of characters."""
        return self.max

    @property
    def pattern(self) -> str:
        """Regular expression."""
        return f"(?P<{self.field}>[0-9]{{{self.min},{self.max}}})"


class Word(NamedTuple):
    """One of several words, in any case, none of which starts with another. The field is its place, from 1.

    Attributes:
        field: What the word is.
        words: The words, in lowercase.
    """

    field: str
    words: tuple[str, ...]

    @property
    def width(self) -> int:
        """Maximum number of characters."""
        return max(map(len, self.words))

    @property
    def pattern(self) -> str:
        """Regular expression."""
        return f"(?P<{self.field}>(?i:{'|'.join(self.words)}))"


class Character(NamedTuple):
    """One of several ASCII characters."""

    characters: str

    @property
    def width(self) -> int:
        """Maximum number of characters."""
        return 1

    @property
    def pattern(self) -> str:
        """Regular expression."""
        return f"(?:{'|'.join(map(re.escape, self.characters))})"


class Zone(NamedTuple):
    """A time zone: ``Z``, ``+HH``, ``+HHMM`` or ``+HH:MM``."""

    @property
    def width(self) -> int:
        """Maximum number of characters."""
        return ZONE_WIDTH

    @property
    def pattern(self) -> str:
        """Regular expression."""
        return "(?:Z|(?P<sign>[+-])(?P<zone_hour>[0-9]{2})(?::?(?P<zone_minute>[0-9]{2}))?)"


class OptionalPart(NamedTuple):
    """Elements that a text has if one of some characters comes next.

    Attributes:
        first: These characters.
        elements: The elements, the first of which starts with one of them.
    """

    first: str
    elements: "tuple[Element, ...]"

    @property
    def width(self) -> int:
        """Maximum number of characters."""
        return sum(each.width for each in self.elements)

    @property
    def pattern(self) -> str:
        """Regular expression."""
        return f"(?:{''.join(each.pattern for each in self.elements)})?"


Element: TypeAlias = Number | Word | Character | Zone | OptionalPart

_DIRECTIVES: dict[str, Element] = {
    "Y": Number("year", 4, 4),
    "y": Number("short_year", 2, 2),
    "q": Number("quarter", 1, 1),
    "m": Number("month", 1, 2),
    "B": Word("month_name", MONTHS),
    "b": Word("month_name", tuple(month[:3] for month in MONTHS)),
    "d": Number("day", 1, 2),
    "A": Word("weekday", WEEKDAYS),
    "a": Word("weekday", tuple(day[:3] for day in WEEKDAYS)),
    "H": Number("hour", 1, 2),
    "I": Number("hour_12", 1, 2),
    "p": Word("half", ("am", "pm")),
    "M": Number("minute", 1, 2),
    "S": Number("second", 1, 2),
    "f": Number("fraction", 1, DIGITS),
    "z": Zone(),
    "%": Character("%"),
}
# Groups of directives that set the same field. A format has at most one directive of each group.
_SAME = ("Yy", "mBbq", "d", "Aa", "HI", "p", "M", "S", "f", "z")
# The directives without which another one has no meaning.
_NEEDS = {"d": "mBb", "m": "Yy", "B": "Yy", "b": "Yy", "q": "Yy", "M": "HI", "S": "M", "f": "S", "I": "p", "p": "I"}
_FRACTION = OptionalPart(".,", (Character(".,"), Number("fraction", 1, DIGITS)))
_CLOCK = (
    *(Character("T "), Number("hour", 2, 2), Character(":"), Number("minute", 2, 2)),
    OptionalPart(":", (Character(":"), Number("second", 2, 2), _FRACTION)),
    OptionalPart("Z+-", (Zone(),)),
)
_ISO = (
    *(Number("year", 4, 4), Character("-"), Number("month", 2, 2), Character("-"), Number("day", 2, 2)),
    OptionalPart("T ", _CLOCK),
)


class DateFormat(NamedTuple):
    """A format of dates.

    Attributes:
        elements: What a text consists of.
        has_date: Whether it has at least a year.
        has_time: Whether it can have an hour.
    """

    elements: tuple[Element, ...]
    has_date: bool
    has_time: bool

    @property
    def width(self) -> int:
        """Maximum number of characters of a text."""
        return sum(each.width for each in self.elements)

    @property
    def pattern(self) -> str:
        """Regular expression of a complete text, with a group for each field."""
        return f"^{''.join(each.pattern for each in self.elements)}$"

    @property
    def is_digits(self) -> bool:
        """Whether a text is the decimal notation of an integer."""
        return all(isinstance(each, Number) for each in self.elements)


@functools.cache
def parse_format(text: str) -> DateFormat:
    """Reads a format.

    >>> parse_format("%d/%m/%Y").pattern
    '^(?P<day>[0-9]{1,2})(?:/)(?P<month>[0-9]{1,2})(?:/)(?P<year>[0-9]{4,4})$'

    Raises:
        ValueError: It has an unknown directive, or says something twice, or a directive lacks another one.
    """
    if text == ISO:
        return DateFormat(_ISO, has_date=True, has_time=True)
    letters = re.findall(r"%(.?)", text, re.DOTALL)
    _check_directives(text, letters)
    elements = tuple(_elements(text))
    found = DateFormat(_fixed(elements), bool({*"Yy"} & {*letters}), bool({*"HI"} & {*letters}))
    if found.width > MAX_WIDTH:
        raise ValueError(f"found '{text}', for texts of up to {found.width} characters; expected at most {MAX_WIDTH}")
    return found


def _check_directives(text: str, letters: Sequence[str]) -> None:
    known = ", ".join(f"%{each}" for each in _DIRECTIVES)
    for letter in letters:
        if letter not in _DIRECTIVES:
            raise ValueError(f"found '%{letter}' in '{text}'; expected 'iso' or directives among {known}")
        needed = _NEEDS.get(letter)
        if needed and not {*needed} & {*letters}:
            either = " or ".join(f"%{each}" for each in needed)
            raise ValueError(f"found '%{letter}' without {either} in '{text}'; expected both")
    for same in _SAME:
        given = [letter for letter in letters if letter in same]
        if len(given) > 1:
            raise ValueError(f"found '%{given[0]}' and '%{given[1]}' in '{text}'; expected one of them")
    if re.search(r"%z(?![^%\d:]|$)", text):
        raise ValueError(f"found '{text}'; expected a space or the end after '%z', which may have a colon and digits")
    if not {*letters} & {*"YyHI"}:
        raise ValueError(f"found '{text}'; expected 'iso', or a format with a year (%Y) or an hour (%H)")
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"found {text!r}; expected ASCII characters")


def _elements(text: str) -> Iterator[Element]:
    for directive, character in re.findall(r"%(.)|(.)", text, re.DOTALL):
        yield _DIRECTIVES[directive] if directive else Character(character)


def _fixed(elements: tuple[Element, ...]) -> tuple[Element, ...]:
    """Numbers that are followed by digits have all of theirs, since nothing else tells where they end."""
    following = (*elements[1:], None)
    return tuple(
        each._replace(min=each.max) if isinstance(each, Number) and _can_be_digit(after) else each
        for each, after in zip(elements, following, strict=True)
    )


def _can_be_digit(element: Element | None) -> bool:
    return isinstance(element, Number) or (isinstance(element, Character) and element.characters.isdigit())
