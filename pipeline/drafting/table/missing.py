"""Cells that mean a missing value."""

from collections.abc import Iterable

# What programs write for a missing value. Hardly ever the value of a category.
CERTAIN = frozenset(
    {"NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NaT", "NULL", "null", "Null", "?", "\\N"}
)
LONGEST = max(map(len, CERTAIN))
# What people write. It can be the value of a category, too, so it only counts in columns of numbers.
_LIKELY = frozenset(
    {"na", "none", "missing", "unknown", "unk", "undefined", "nil", "not available", "not applicable", "n.a.", "n.d."}
)
_SIGNS = frozenset("-.*/_\N{EN DASH}\N{EM DASH}")


def is_certain(cell: str) -> bool:
    """Whether a cell means a missing value in any column.

    >>> is_certain("NA"), is_certain("none")
    (True, False)
    """
    return cell in CERTAIN or not cell.strip()


def is_likely(cell: str) -> bool:
    """Whether a cell means a missing value among numbers.

    >>> is_likely("Unknown"), is_likely("--"), is_likely("12 kg")
    (True, True, False)
    """
    text = cell.strip().lower()
    return is_certain(cell.strip()) or text in _LIKELY or set(text) <= _SIGNS


def shown_cells(cells: Iterable[str]) -> str:
    """Cells for a message. Blank ones are quoted."""
    return ", ".join(cell if cell.strip() == cell else f"'{cell}'" for cell in cells)
