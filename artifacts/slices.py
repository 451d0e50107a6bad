"""Slices of the rows: their names in ``summary.json``, in thresholds and on report pages, and how TFMA reads values.

The value of a slice has the type of its column: text for BYTES, an integer for INT, and a number for FLOAT, which is
stored as float32. :mod:`pipeline.preflight.slices` refuses other values, so that the name of a threshold's slice equals
the name of a measured slice exactly if TFMA applies the threshold to it.
"""

import json
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

OVERALL = "overall"
SEPARATOR = ", "

SliceValue: TypeAlias = str | int | float


def slice_name(columns: Mapping[str, SliceValue]) -> str:
    """Returns ``overall``, or ``column=value`` pairs sorted by column.

    >>> slice_name({})
    'overall'
    >>> slice_name({"payment_type": "Cash", "hour": 8})
    'hour=8, payment_type=Cash'
    >>> slice_name({"fare": 1}) == slice_name({"fare": 1.0})
    True
    >>> slice_name({"a=b": "c"}), slice_name({"a": "b=c"})
    ('"a=b"=c', 'a=b=c')
    """
    pairs = [f"{_quoted(column, '=')}={_quoted(value_text(value))}" for column, value in sorted(columns.items())]
    return SEPARATOR.join(pairs) or OVERALL


def value_text(value: SliceValue) -> str:
    """Returns the shortest text of a value. Numbers that are equal have the same text, whatever their type.

    >>> value_text(1.0), value_text(1), value_text(0.1), value_text("01.0")
    ('1', '1', '0.1', '01.0')
    """
    if not isinstance(value, float):
        return str(value)
    nearest = to_float32(value)
    return str(int(nearest)) if nearest.is_integer() else str(np.float32(nearest))


def to_float32(value: float) -> float:
    """Returns the float32 number that is nearest to a value, or an infinity if float32 cannot hold it.

    >>> to_float32(0.1) == 0.1, to_float32(0.5) == 0.5
    (False, True)
    """
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def tfma_text(value: SliceValue) -> str:
    """Returns the text from which TFMA reads a value of a slice.

    >>> tfma_text(0.1)
    '0.10000000149011612'
    """
    return repr(to_float32(value)) if isinstance(value, float) else str(value)


def read_by_tfma(text: str) -> SliceValue:
    """Reads the value of a slice from text as TFMA does, also for text columns.

    >>> read_by_tfma("02134"), read_by_tfma("2134.0"), read_by_tfma("1e3")
    (2134, 2134.0, '1e3')
    """
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _quoted(text: str, *separators: str) -> str:
    """Quotes text that could otherwise be taken for several columns, or for a column and its value."""
    is_unclear = text.startswith('"') or any(each in text for each in (SEPARATOR, *separators))
    return json.dumps(text, ensure_ascii=False) if is_unclear else text
