"""Finds what is wrong with the header of a CSV file."""

from collections.abc import Sequence

DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}  # other than commas


def header_problem(header: Sequence[str]) -> str | None:
    """What is wrong with a header, and how to fix it, or ``None``."""
    if not header:
        return "the line is blank; expected a header line of column names"
    if header[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
        return "found a byte-order mark; save the file as UTF-8 without one"
    if len(header) == 1 and (delimiter := other_delimiter(header)):
        return wrong_delimiter(delimiter)
    for number, name in enumerate(header, start=1):
        if not name.strip():
            hint = ": is it the index of a pandas table? Write it with index=False" if number == 1 else ""
            return f"found no name for column {number} of {len(header)}; expected a name for each column{hint}"
    if len(set(header)) != len(header):
        repeated = next(name for name in header if header.count(name) > 1)
        return f"found the column '{repeated}' twice; expected each name once"
    return None


def other_delimiter(header: Sequence[str]) -> str | None:
    """The delimiter that a header seems to have in place of commas, or ``None``.

    >>> other_delimiter(["tips;fare", "total;payment"])
    ';'
    """
    counts = {delimiter: sum(name.count(delimiter) for name in header) for delimiter in DELIMITERS}
    found = max(counts, key=lambda each: counts[each])
    return found if counts[found] >= len(header) else None  # more than there are commas


def wrong_delimiter(delimiter: str) -> str:
    """The error for a header with another delimiter than commas."""
    name = DELIMITERS[delimiter]
    return f"the columns look separated by {name}; expected commas: save the file with commas"
