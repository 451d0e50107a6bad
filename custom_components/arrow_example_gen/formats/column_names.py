"""Names for all columns of a header, some of which may have none, or that of another column."""

import itertools
from collections.abc import Iterator, Sequence

from custom_components.arrow_example_gen.formats.files import shown

MAX_LINES = 10


def unique_names(header: Sequence[str]) -> list[str]:
    """Returns the names of the columns. A name that the header has is never given to another column.

    >>> unique_names(["", "Mass", "Mass", "Mass_2", ""])
    ['column_1', 'Mass', 'Mass_3', 'Mass_2', 'column_5']

    Args:
        header: The cells of the header line.
    """
    used = {name for name in header if name.strip()}
    found, seen = [], set()
    for number, name in enumerate(header, start=1):
        new = name
        if name in seen or not name.strip():
            new = next(each for each in _candidates(name, number) if each not in used)
            used.add(new)
        seen.add(name)
        found.append(new)
    return found


def renamed_columns(header: Sequence[str]) -> list[str]:
    """Describes the columns whose names are not those of the header, one line each, and how many more there are.

    >>> renamed_columns(["", "Mass", "Mass"])
    ["column 1 has no name: it is 'column_1'", "column 3 is another 'Mass': it is 'Mass_2'"]
    """
    found = []
    for number, (name, new) in enumerate(zip(header, unique_names(header), strict=True), start=1):
        if new != name:
            why = f"is another {shown(name)}" if name.strip() else "has no name"
            found.append(f"column {number} {why}: it is {shown(new)}")
    more = len(found) - MAX_LINES
    return [*found[:MAX_LINES], f"and {more:,} more columns have no name of their own"] if more > 0 else found


def _candidates(name: str, number: int) -> Iterator[str]:
    if not name.strip():
        name = f"column_{number}"
        yield name
    for count in itertools.count(2):
        yield f"{name}_{count}"
