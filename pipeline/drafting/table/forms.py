"""Finds what the texts of a column are: categories, dates, lists, free text or identifiers."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

Form = Literal["number", "category", "date", "text", "list", "identifier", "constant", "empty", "decimal_comma"]

_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_MONTH = r"[A-Za-z]{3,9}\.?"
_DATES = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{_TIME}|\d{{1,2}}[-/. ]{_MONTH}[-/., ]+\d{{2,4}}{_TIME}"
    rf"|{_MONTH} \d{{1,2}},? \d{{4}}{_TIME}|\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?: ?[AaPp][Mm])?"
    rf"|\d{{4}}[-/]\d{{2}}|\d{{4}}[- ]?Q[1-4]"
)
_ORDERED = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2\d{{2,4}}{_TIME}")
_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3}(?:\.?\d{3})*,\d+")
_IDENTIFIER = re.compile(r"(?:^|[^a-z])(?:id|ids|uuid|guid|key|index|idx|row|rownames?|serial|unnamed: 0)$", re.I)
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID)$")
_SEPARATORS = "|;,"
SHARE = 0.95  # of the values that have to look like a date
MAX_MONTH = 12
TEXT_WORDS, TEXT_CHARACTERS = 5, 100  # of the mean value of a column of texts
MIN_ROWS = 20  # in which every value may differ by chance
LIST_SHARE = 0.3  # of the values with a separator


def names_rows(name: str) -> bool:
    """Whether a column's name says that its values identify rows.

    >>> names_rows("customer_id"), names_rows("PassengerId"), names_rows("covid")
    (True, True, False)
    """
    return bool(_IDENTIFIER.search(name) or _CAMEL_ID.search(name))


def form_of_texts(texts: Sequence[str], rows: int) -> Form:
    """The form of a column of texts.

    Args:
        texts: The distinct values of a sample, without missing ones.
        rows: Rows of the sample with a value.
    """
    if _share(texts, lambda text: bool(_DATES.fullmatch(text) or _ORDERED.fullmatch(text))) >= SHARE:
        return "date"
    if _share(texts, lambda text: bool(_DECIMAL_COMMA.fullmatch(text))) >= SHARE:
        return "decimal_comma"
    repeats = len(texts) <= rows / 2
    words = sum(len(text.split()) for text in texts) / len(texts)
    characters = sum(map(len, texts)) / len(texts)
    if not repeats and rows >= MIN_ROWS and (words >= TEXT_WORDS or characters >= TEXT_CHARACTERS):
        return "text"
    if len(texts) > MIN_ROWS and _is_list(texts):
        return "list"
    return "identifier" if not repeats and rows >= MIN_ROWS else "category"


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


def _is_list(texts: Sequence[str]) -> bool:
    """Whether values consist of a few words each, which are far fewer than the values."""
    for separator in _SEPARATORS:
        with_separator = sum(separator in text for text in texts)
        if with_separator >= LIST_SHARE * len(texts):
            words = {word.strip() for text in texts for word in text.split(separator)}
            if len(words) <= len(texts) / 3:
                return True
    return False
