"""Finds what the texts of a column are: categories, dates, lists, free text or identifiers."""

import calendar
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pipeline.drafting.table.lists import find_separator

Form = Literal[
    "number",
    "category",
    "date",
    "text",
    "list",
    "identifier",
    "constant",
    "empty",
    "decimal_comma",
    "written_number",
    "too_large",
    "infinite",
]

_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_MONTH = r"[A-Za-z]{3,9}\.?"
_DATES = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{_TIME}|\d{{1,2}}[-/. ]{_MONTH}[-/., ]+\d{{2,4}}{_TIME}"
    rf"|{_MONTH} \d{{1,2}},? \d{{4}}{_TIME}|\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?: ?[AaPp][Mm])?"
    rf"|\d{{4}}[-/]\d{{2}}|\d{{4}}[- ]?Q[1-4]"
)
_ORDERED = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2\d{{2,4}}{_TIME}")
_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3}(?:\.?\d{3})*,\d+")
_WRITTEN_NUMBER = re.compile(r"[+-]?\(?[$€£¥]? ?[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)? ?[%$€£¥]?\)?")
_SIGN = re.compile(r"[,%$€£¥]")
_IDENTIFIER = re.compile(
    r"(?:^|[^a-z])(?:id|ids|id[_. ]?(?:code|no|nr|num|number)|uid|uuid|guid|key|index|idx|row|rownames?|serial"
    r"|unnamed: 0)$",
    re.I,
)
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID)$")
_TIMES = re.compile(
    r"(?i:(?:^|[^a-z])(?:date|time|datetime|ts|epoch|unix|created|updated)(?:[^a-z]|$)|stamp)|_at$|[a-z](?:At|Date|Time)$"
)
SHARE = 0.95  # of the values that have to look like a date
YEARS = range(1900, 2101)  # of dates that are written as integers
MAX_MONTH = 12
TEXT_WORDS, TEXT_CHARACTERS = 5, 100  # of the mean value of a column of texts
MIN_WORDS = 2  # of the mean value of a column of titles or names
MIN_TEXTS, MAX_TEXTS = 3, 0.9  # that have a word in common: at least so many, and at most this share of them
SHARED = 0.3  # of the words of titles or names
MIN_ROWS = 20  # in which every value may differ by chance


def names_rows(name: str) -> bool:
    """Whether a column's name says that its values identify rows.

    >>> names_rows("customer_id"), names_rows("PassengerId"), names_rows("idcode"), names_rows("covid")
    (True, True, True, False)
    """
    return bool(_IDENTIFIER.search(name) or _CAMEL_ID.search(name))


def names_times(name: str) -> bool:
    """Whether a column's name says that its values are times.

    >>> names_times("trip_start_timestamp"), names_times("createdAt"), names_times("estimate")
    (True, True, False)
    """
    return bool(_TIMES.search(name))


def form_of_texts(texts: Sequence[str], rows: int) -> Form:
    """The form of a column of texts.

    Args:
        texts: The distinct values of a sample, without missing ones.
        rows: How many rows of the table have one of these values.
    """
    if _share(texts, lambda text: bool(_DATES.fullmatch(text) or _ORDERED.fullmatch(text))) >= SHARE:
        return "date"
    repeats = len(texts) <= rows / 2
    with_sign = any(map(_SIGN.search, texts))  # a column of digits is text because of its leading zeros
    if with_sign and _share(texts, lambda text: bool(_WRITTEN_NUMBER.fullmatch(text))) >= SHARE:
        return "category" if repeats and len(texts) <= MIN_ROWS else "written_number"
    if _share(texts, lambda text: bool(_DECIMAL_COMMA.fullmatch(text))) >= SHARE:
        return "decimal_comma"
    if len(texts) > MIN_ROWS and find_separator(texts):
        return "list"
    if repeats or rows < MIN_ROWS:
        return "category"
    words = sum(len(text.split()) for text in texts) / len(texts)
    characters = sum(map(len, texts)) / len(texts)
    is_long = words >= TEXT_WORDS or characters >= TEXT_CHARACTERS
    return "text" if is_long or _share_words(texts) else "identifier"


def _share_words(texts: Sequence[str]) -> bool:
    """Whether many of the words are in some of the texts, and not in one or in all of them, as in titles or names."""
    words = [{*text.lower().split()} for text in texts]
    counts = Counter(word for each in words for word in each)
    shared = sum(count for count in counts.values() if MIN_TEXTS <= count <= MAX_TEXTS * len(texts))
    total = sum(counts.values())
    return total >= MIN_WORDS * len(texts) and shared >= SHARED * total


def are_dates(numbers: Iterable[float]) -> bool:
    """Whether all integers are days of the calendar, written as ``YYYYMMDD``.

    >>> are_dates([20240228, 20240229]), are_dates([20240229, 20240230])
    (True, False)
    """
    return all(map(_is_date, numbers))


def _is_date(number: float) -> bool:
    year, month, day = int(number) // 10_000, int(number) // 100 % 100, int(number) % 100
    return year in YEARS and 1 <= month <= MAX_MONTH and 1 <= day <= calendar.monthrange(year, month)[1]


def day_month_order(text: str) -> str | None:
    """``day first`` or ``month first`` for a date that can only be read in this order, else ``None``.

    >>> day_month_order("31/12/2020"), day_month_order("12/31/2020"), day_month_order("1/2/2020")
    ('day first', 'month first', None)
    """
    found = _ORDERED.fullmatch(text)
    if not found:
        return None
    first, second = int(found[1]), int(found[3])
    if (first > MAX_MONTH) == (second > MAX_MONTH):
        return None
    return "day first" if first > MAX_MONTH else "month first"


def _share(texts: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, texts)) / len(texts)
