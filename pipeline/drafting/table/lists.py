"""Describes columns with several values per row: lists, and texts with a separator."""

import dataclasses
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.drafting.table.counts import ColumnCounts
from pipeline.drafting.table.sample import MAX_BYTES

SEPARATORS = "|;,"
LIST_SHARE = 0.3  # of the values with a separator
BLANKS = " \t"
# As pipeline.preflight.lists.NUMBER, without the blanks.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclasses.dataclass(frozen=True)
class Lists:
    """The lists of a column.

    Attributes:
        separator: What separates the values of a text, or ``None`` for lists.
        longest: Number of values of the longest list.
        distinct: Number of distinct values, or ``None`` if there are too many to count.
        is_exact: Whether ``longest`` counts all rows.
        is_number: Whether the values are floats, or numbers in a text.
    """

    separator: str | None
    longest: int
    distinct: int | None
    is_exact: bool
    is_number: bool


def find_separator(texts: Sequence[str]) -> str | None:
    """The character that separates a few words, which are far fewer than the texts, or numbers.

    >>> find_separator(["1|2", "3|4|5", "6"]), find_separator(["a, b", "c, d"])
    ('|', None)
    >>> find_separator(["1|\N{NO-BREAK SPACE}2"])
    """
    for separator in SEPARATORS:
        with_separator = sum(separator in text for text in texts)
        if with_separator >= LIST_SHARE * len(texts):
            parts = {part.strip(BLANKS) for text in texts for part in text.split(separator)}
            if len(parts) <= len(texts) / 3 or _are_numbers(parts):
                return separator
    return None


def describe_lists(counts: ColumnCounts, sample: pa.Array, is_sampled: bool) -> Lists:
    """Describes a column of lists, or of texts that :func:`find_separator` finds a separator of.

    Args:
        counts: Counts of the column.
        sample: The sample of a column of texts, without missing values.
        is_sampled: Whether the sample lacks rows.
    """
    if counts.is_list:
        distinct = None if counts.parts is None else len(counts.parts)
        return Lists(None, counts.longest, distinct, True, counts.stored_type == "FLOAT")
    texts = sample.unique().to_pylist()
    separator = find_separator(texts)
    assert separator
    parts = {part.strip(BLANKS) for text in texts for part in text.split(separator)} - {""}
    longest = (pc.max(pc.count_substring(sample, separator)).as_py() or 0) + 1
    is_exact = not is_sampled and counts.max_bytes <= MAX_BYTES
    return Lists(separator, longest, len(parts), is_exact, _are_numbers(parts))


def _are_numbers(parts: set[str]) -> bool:
    known = parts - {""}
    return bool(known) and all(_NUMBER.fullmatch(part) for part in known)
