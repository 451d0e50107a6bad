"""Infers the types of a CSV file's columns by the rules of TFX's CsvExampleGen, on Arrow arrays.

A cell is an integer or a float if Python's ``int`` or ``float`` accepts its bytes. Patterns decide this for most cells,
a complete array at a time. Python decides for the few others.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

INT64 = range(-(2**63), 2**63)
# Cells that are definitely integers, with few enough digits for 64 bits, and cells that are definitely numbers.
INTEGER = r"^[+-]?[0-9]{1,18}$"
NUMBER = r"^[+-]?([0-9]{1,18}|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)$"


class ColumnType(enum.IntEnum):
    """Type of a column: the highest type of its cells, as in tfx_bsl's ``csv_decoder``."""

    EMPTY = 0
    INT = 1
    FLOAT = 2
    STRING = 3


Types = dict[str, ColumnType]


def infer_types(batches: Iterable[pa.RecordBatch]) -> Types:
    """Infers the types of a file's columns from all its rows."""
    types: Types = {}
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            known = types.get(name, ColumnType.EMPTY)
            if known != ColumnType.STRING:  # the highest type
                types[name] = type_of(column.unique(), known)
    return types


def merge_types(parts: Iterable[Mapping[str, ColumnType]]) -> Types:
    """Merges the types that were inferred from several files.

    >>> merge_types([{"fare": ColumnType.INT}, {"fare": ColumnType.FLOAT}])
    {'fare': <ColumnType.FLOAT: 2>}
    """
    merged: Types = {}
    for part in parts:
        for name, found in part.items():
            merged[name] = max(merged.get(name, ColumnType.EMPTY), found)
    return merged


def type_of(cells: pa.Array, known: ColumnType = ColumnType.EMPTY) -> ColumnType:
    """The highest type of cells, given the type that other cells of the column have.

    >>> type_of(pa.array(["1", "", "2.5"]))
    <ColumnType.FLOAT: 2>
    """
    cells = cells.filter(pc.not_equal(cells, ""))
    if known < ColumnType.FLOAT and len(cells):
        known, cells = ColumnType.INT, _others(cells, INTEGER)
    unsettled = _others(cells, NUMBER)
    if len(unsettled) < len(cells):
        known = ColumnType.FLOAT
    for cell in unsettled.cast(pa.binary()):
        known = max(known, _python_type(cell.as_py()))
        if known == ColumnType.STRING:
            break
    return known


def convert(cells: pa.Array, kind: ColumnType) -> pa.Array:
    """Converts cells to int64, float32 or bytes. Empty cells become null.

    >>> convert(pa.array(["1", ""]), ColumnType.INT).to_pylist()
    [1, None]
    """
    cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, cells.type), cells)
    if kind == ColumnType.EMPTY:
        return pa.nulls(len(cells), pa.binary())
    if kind == ColumnType.STRING:
        return cells.cast(pa.binary())
    number, parse = (pa.int64(), int) if kind == ColumnType.INT else (pa.float64(), float)
    try:
        numbers = cells.cast(number)
    except pa.ArrowInvalid:  # such as '+5', '1_000' or ' 7', which Python accepts
        texts: Sequence[bytes | None] = cells.cast(pa.binary()).to_pylist()
        numbers = pa.array([None if text is None else parse(text) for text in texts], number)
    return numbers if kind == ColumnType.INT else numbers.cast(pa.float32())


def _others(cells: pa.Array, pattern: str) -> pa.Array:
    return cells.filter(pc.invert(pc.match_substring_regex(cells, pattern)))


def _python_type(cell: bytes) -> ColumnType:
    try:
        return ColumnType.INT if int(cell) in INT64 else ColumnType.STRING
    except ValueError:
        pass
    try:
        float(cell)
    except ValueError:
        return ColumnType.STRING
    return ColumnType.FLOAT
