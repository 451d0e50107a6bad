"""Types of a CSV file's columns: those of the schema, or inferred by the rules of TFX's CsvExampleGen.

By these rules, a cell is an integer or a float if Python's ``int`` or ``float`` accepts its bytes. Patterns decide this
for most cells, a complete Arrow array at a time. Python decides for the few others.
"""

import enum
import re
from collections.abc import Callable, Collection, Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.files import shown

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
MAX_EXACT = 2**53  # the highest integer up to which a float64 has all integers
NOT_FINITE = re.compile(rb"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)


class CellError(ValueError):
    """A cell does not have the type that the schema names for its column.

    Attributes:
        cell: The cell.
    """

    def __init__(self, cell: bytes, expected: str) -> None:
        super().__init__(f"found {shown(cell)}; expected {expected}, as in the schema")
        self.cell = cell.decode()


def infer_types(
    batches: Iterable[pa.RecordBatch], missing: Sequence[str] = (), given: Collection[str] = frozenset()
) -> Types:
    """Infers the types of a file's columns from all its rows.

    Args:
        batches: The rows.
        missing: Cells that mean a missing value, in addition to the empty cell.
        given: Columns to leave out.
    """
    types: Types = {}
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            known = types.get(name, ColumnType.EMPTY)
            if known != ColumnType.STRING and name not in given:  # the highest type
                types[name] = type_of(without_missing(column.unique(), missing), known)
    return types


def without_missing(cells: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Cells with the empty string in place of those that mean a missing value.

    >>> without_missing(pa.array(["1", "NA"]), ["NA"]).to_pylist()
    ['1', '']
    """
    if not missing:
        return cells
    return pc.if_else(pc.is_in(cells, pa.array(missing, cells.type)), pa.scalar("", cells.type), cells)


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


def parse(cells: pa.Array, kind: str, missing: Sequence[str] = ()) -> pa.Array:
    """Converts cells to the type that the schema names, without loss. Empty cells become null.

    An integer may be written as a float, such as ``3.0``. A float is rounded to the nearest float32.

    Args:
        cells: Strings.
        kind: ``INT``, ``FLOAT`` or ``BYTES``.
        missing: Cells that mean a missing value, in addition to the empty cell.

    Returns:
        int64, float32 or bytes.

    Raises:
        CellError: A cell does not have the type.

    >>> parse(pa.array(["1", "2.0", ""]), "INT").to_pylist()
    [1, 2, None]
    """
    cells = without_missing(cells, missing)
    cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, cells.type), cells)
    if kind == "BYTES":
        return cells.cast(pa.binary())
    if kind == "INT":
        if len(_others(cells, INTEGER)) == 0:
            return convert(cells, ColumnType.INT)
        return pa.array(_parsed(cells, _exact_integer), pa.int64())
    try:
        numbers = cells.cast(pa.float64())
    except pa.ArrowInvalid:  # such as ' 7' and '1_000', which Python accepts, or no number
        numbers = pa.array(_parsed(cells, _number), pa.float64())
    numbers = numbers.cast(pa.float32())
    for cell in cells.filter(pc.invert(pc.is_finite(numbers))).cast(pa.binary()).to_pylist():
        if not NOT_FINITE.fullmatch(cell):
            raise CellError(cell, "a number that fits into float32")
    return numbers


def _parsed(cells: pa.Array, parser: Callable[[bytes], float]) -> list[float | None]:
    return [None if cell is None else parser(cell) for cell in cells.cast(pa.binary()).to_pylist()]


def _exact_integer(cell: bytes) -> int:
    try:
        value = int(cell)
    except ValueError:
        number = _number(cell, "an integer")
        if not number.is_integer() or abs(number) > MAX_EXACT:
            raise CellError(cell, "an integer") from None
        value = int(number)
    if value not in INT64:
        raise CellError(cell, "an integer of 64 bits")
    return value


def _number(cell: bytes, expected: str = "a number") -> float:
    try:
        return float(cell)
    except ValueError:
        raise CellError(cell, expected) from None


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
