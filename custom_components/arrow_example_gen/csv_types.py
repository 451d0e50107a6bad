"""The types of a CSV file's columns, by the rules of TFX's CsvExampleGen, over Arrow's arrays.

Those rules are Python's ``int`` and ``float`` of a cell's bytes. What a pattern settles, which is all of an ordinary
table, is settled for a whole array; Python is asked about the few other cells.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

INT64 = range(-(2**63), 2**63)
# What is surely an integer, with no more digits than fit into 64 bits anyhow, and what is surely a number.
INTEGER = r"^[+-]?[0-9]{1,18}$"
NUMBER = r"^[+-]?([0-9]{1,18}|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)$"


class ColumnType(enum.IntEnum):
    """Type of a column: the highest of its cells' types, as in tfx_bsl's ``csv_decoder``."""

    EMPTY = 0
    INT = 1
    FLOAT = 2
    STRING = 3


Types = dict[str, ColumnType]


def infer_types(batches: Iterable[pa.RecordBatch]) -> Types:
    """The types that a file's columns have over all its rows."""
    types: Types = {}
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            known = types.get(name, ColumnType.EMPTY)
            if known != ColumnType.STRING:  # nothing is above it
                types[name] = type_of(column.unique(), known)
    return types


def merge_types(parts: Iterable[Mapping[str, ColumnType]]) -> Types:
    """The types over several files."""
    merged: Types = {}
    for part in parts:
        for name, found in part.items():
            merged[name] = max(merged.get(name, ColumnType.EMPTY), found)
    return merged


def type_of(cells: pa.Array, known: ColumnType = ColumnType.EMPTY) -> ColumnType:
    """The highest type among cells, and that known of others."""
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
    """Cells as int64, float32 or bytes; an empty one is null."""
    cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, cells.type), cells)
    if kind == ColumnType.EMPTY:
        return pa.nulls(len(cells), pa.binary())
    if kind == ColumnType.STRING:
        return cells.cast(pa.binary())
    number, of_python = (pa.int64(), int) if kind == ColumnType.INT else (pa.float64(), float)
    try:
        numbers = cells.cast(number)
    except pa.ArrowInvalid:  # such as '+5', '1_000' or ' 7', which Python takes
        texts: Sequence[bytes | None] = cells.cast(pa.binary()).to_pylist()
        numbers = pa.array([None if text is None else of_python(text) for text in texts], number)
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
