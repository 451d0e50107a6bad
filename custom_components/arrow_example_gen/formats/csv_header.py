"""Finds what is wrong with the header of a CSV file."""

from collections.abc import Sequence

from custom_components.arrow_example_gen.formats.dialect import DELIMITERS, named_delimiter, shown_delimiter
from custom_components.arrow_example_gen.formats.files import shown


def header_problem(header: Sequence[str], delimiter: str = ",") -> str | None:
    """What is wrong with a header, and how to fix it, or ``None``."""
    if not header:
        return "the line is blank; expected a header line of column names"
    if any("\0" in name for name in header):
        return "found zero bytes; expected text: if it is UTF-16, set data.encoding to 'utf-16-le' or 'utf-16-be'"
    if len(header) == 1 and (other := other_delimiter(header, delimiter)):
        return wrong_delimiter(other, delimiter)
    return None


def header_difference(found: Sequence[str], expected: Sequence[str], other: str) -> str:
    """How a header differs from that of another file.

    >>> header_difference(["fare", "tip"], ["fare", "tips"], "a.csv")
    "found no column 'tips', which a.csv has"
    """
    missing = [name for name in expected if name not in found]
    if missing:
        return f"found no column {shown(missing[0])}, which {other} has"
    extra = [name for name in found if name not in expected]
    if extra:
        return f"found the column {shown(extra[0])}, which {other} does not have"
    return f"found the columns of {other} in another order"


def other_delimiter(header: Sequence[str], delimiter: str = ",") -> str | None:
    """The delimiter that a header seems to have in place of ``delimiter``, or ``None``.

    >>> other_delimiter(["tips;fare", "total;payment"])
    ';'
    """
    counts = {each: sum(name.count(each) for name in header) for each in DELIMITERS if each != delimiter}
    found = max(counts, key=lambda each: counts[each])
    return found if counts[found] >= len(header) else None  # more than there are delimiters


def wrong_delimiter(found: str, expected: str = ",") -> str:
    """The error for a header with another delimiter."""
    return (
        f"the columns look separated by {named_delimiter(found)}; expected {named_delimiter(expected)}: set "
        f"data.delimiter to {shown_delimiter(found)}, or save the file with {named_delimiter(expected)}"
    )
