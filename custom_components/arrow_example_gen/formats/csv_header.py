"""Finds what is wrong with the header of a CSV file."""

from collections.abc import Sequence

from custom_components.arrow_example_gen.formats.dialect import DELIMITERS, named_delimiter, shown_delimiter


def header_problem(header: Sequence[str], delimiter: str = ",") -> str | None:
    """What is wrong with a header, and how to fix it, or ``None``."""
    if not header:
        return "the line is blank; expected a header line of column names"
    if any("\0" in name for name in header):
        return "found zero bytes; expected text: if it is UTF-16, set data.encoding to 'utf-16-le' or 'utf-16-be'"
    if len(header) == 1 and (other := other_delimiter(header, delimiter)):
        return wrong_delimiter(other, delimiter)
    return None


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
