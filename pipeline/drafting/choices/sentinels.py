"""Finds numbers that stand for a missing value, such as -999."""

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.drafting.table.columns import Column

MIN_ROWS = 5
_NINES = re.compile(r"-?9{2,}(?:\.0+)?|-9(?:\.0+)?")


class Sentinel(NamedTuple):
    """A number that is far from all others of a column.

    Attributes:
        cell: The number, as the files have it.
        rows: Rows of the sample with it.
        low: Smallest of the other numbers.
        high: Largest of the other numbers.
    """

    cell: str
    rows: int
    low: float
    high: float


def find_sentinel(column: Column, cells: pa.Array) -> Sentinel | None:
    """Returns a number of nines that repeats and is farther from the others than these are from each other.

    Args:
        column: A column of a text file.
        cells: Its sample, as the files have it.
    """
    if column.form != "number":
        return None
    numbers = column.numbers
    known = np.isfinite(numbers)
    for extreme in np.unique(numbers[known])[[0, -1]] if known.any() else ():
        at = np.flatnonzero(numbers == extreme)
        cell = cells[int(at[0])].as_py()
        others = numbers[known & (numbers != extreme)]
        if len(at) < MIN_ROWS or not _NINES.fullmatch(cell) or len(np.unique(others)) < 2:
            continue
        low, high = float(others.min()), float(others.max())
        if max(low - extreme, extreme - high) > high - low:
            return Sentinel(cell, len(at), low, high)
    return None
