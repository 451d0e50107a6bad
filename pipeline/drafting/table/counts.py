"""Counts the values of a column over all rows of a table, batch by batch, in bounded memory."""

import dataclasses
import math
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.csv_types import INT64, INTEGER, NUMBER
from pipeline.drafting.table.missing import LONGEST, is_certain

MAX_VALUES = 1_000  # distinct values of a column that are counted one by one
MAX_WORDS = 200  # distinct cells among numbers that are counted one by one
MAX_TEXT = 4_000  # bytes of a value that is kept
LEADING_ZERO = r"^[+-]?0[0-9]+$"


@dataclasses.dataclass
class ColumnCounts:
    """What the rows so far have in a column.

    Attributes:
        name: The column.
        cells: Rows with a value, including cells that mean a missing value.
        values: Rows by distinct value, or ``None`` if there are too many.
        missing: Rows by cell that means a missing value in any column.
        words: Rows by distinct cell that is not a number and does not certainly mean a missing value, or ``None`` if
            there are too many.
        numbers: Rows with a number.
        integers: Rows with an integer of 64 bits.
        zeros: Rows with an integer that has leading zeros, such as ``00123``.
        min: Smallest finite number.
        max: Largest finite number.
        infinite: Rows with an infinity.
        undefined: Rows with NaN as a number, which mean a missing value.
        max_bytes: Length of the longest value.
        is_list: Whether a row has several values.
        longest: Number of values in the longest list.
        parts: The distinct values of lists, or ``None`` if there are too many.
        is_binary: Whether a value is not text.
        stored_type: Type of the column in the files: ``INT``, ``FLOAT`` or ``BYTES``, or empty for text files.
    """

    name: str
    cells: int = 0
    values: Counter[str] | None = dataclasses.field(default_factory=Counter)
    missing: Counter[str] = dataclasses.field(default_factory=Counter)
    words: Counter[str] | None = dataclasses.field(default_factory=Counter)
    numbers: int = 0
    integers: int = 0
    zeros: int = 0
    min: float = math.inf
    max: float = -math.inf
    infinite: int = 0
    undefined: int = 0
    max_bytes: int = 0
    is_list: bool = False
    longest: int = 0
    parts: set[Any] | None = dataclasses.field(default_factory=set)
    is_binary: bool = False
    stored_type: str = ""

    def add(self, column: pa.Array) -> None:
        """Counts the values of a batch."""
        kind = column.type
        if pa.types.is_null(kind):
            return
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            self._add_lists(column)
            return
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        found = column.drop_null().value_counts()
        distinct, counts = found.field(0), found.field(1)
        self.cells += pc.sum(counts).as_py() or 0
        if pa.types.is_string(kind):
            self._add_cells(distinct, counts)
        elif pa.types.is_integer(distinct.type) or pa.types.is_floating(distinct.type):
            self.stored_type = "INT" if pa.types.is_integer(distinct.type) else "FLOAT"
            self._add_typed_numbers(distinct, counts)
        else:
            self.stored_type = "BYTES"
            self._add_text(distinct.cast(pa.large_binary()), counts)

    def _add_lists(self, column: pa.Array) -> None:
        lengths = pc.list_value_length(column).fill_null(0)
        longest = pc.max(lengths).as_py() or 0
        self.is_list = self.is_list or longest > 1
        if self.is_list:
            self.cells += pc.sum(pc.greater(lengths, 0)).as_py() or 0
            self.longest = max(self.longest, longest)
            self.values = None
            self._add_parts(pc.list_flatten(column).drop_null().unique())
            value = column.type.value_type
            self.stored_type = (
                "INT" if pa.types.is_integer(value) else "FLOAT" if pa.types.is_floating(value) else "BYTES"
            )
        else:
            self.add(pc.list_flatten(column))

    def _add_parts(self, parts: pa.Array) -> None:
        if self.parts is None or len(parts) > MAX_VALUES:
            self.parts = None
            return
        self.parts |= {*parts.to_pylist()}
        self.parts = self.parts if len(self.parts) <= MAX_VALUES else None

    def _add_cells(self, cells: pa.Array, counts: pa.Array) -> None:
        """Counts distinct cells of a text file. The empty cell is a missing value."""
        present = pc.not_equal(cells, "")
        self.cells -= pc.sum(counts.filter(pc.invert(present))).as_py() or 0
        cells, counts = cells.filter(present), counts.filter(present)
        self.max_bytes = max(self.max_bytes, pc.max(pc.binary_length(cells)).as_py() or 0)
        self._count_values(cells, counts)
        if self.words is None:  # text
            self._count_missing(cells, counts)
            return
        is_number = pc.match_substring_regex(cells, NUMBER)
        self._add_numbers(cells.filter(is_number), counts.filter(is_number))
        others = pc.invert(is_number)
        for cell, count in zip(cells.filter(others).to_pylist(), counts.filter(others).to_pylist(), strict=True):
            self._add_other(cell, count)

    def _add_numbers(self, cells: pa.Array, counts: pa.Array) -> None:
        if not len(cells):
            return
        numbers = cells.cast(pa.float64())
        is_integer = pc.match_substring_regex(cells, INTEGER)
        self.numbers += pc.sum(counts).as_py()
        self.integers += pc.sum(counts.filter(is_integer)).as_py() or 0
        self.zeros += pc.sum(counts.filter(pc.match_substring_regex(cells, LEADING_ZERO))).as_py() or 0
        self._add_range(numbers, counts)

    def _add_other(self, cell: str, count: int) -> None:
        """Counts a cell that does not look like a number."""
        if is_certain(cell):
            self.missing[cell] += count
            return
        number = number_of(cell)
        if number is None:
            self._add_word(cell, count)
            return
        self.numbers += count
        self.integers += count if _is_int64(cell) else 0
        self._add_range(pa.array([number]), pa.array([count]))

    def _add_word(self, word: str, count: int) -> None:
        if self.words is not None:
            self.words[word[:MAX_TEXT]] += count
            self.words = self.words if len(self.words) <= MAX_WORDS else None

    def _add_range(self, numbers: pa.Array, counts: pa.Array) -> None:
        finite = pc.is_finite(numbers)
        undefined = pc.sum(counts.filter(pc.is_nan(numbers))).as_py() or 0
        self.undefined += undefined
        self.infinite += (pc.sum(counts.filter(pc.invert(finite))).as_py() or 0) - undefined
        ends = pc.min_max(numbers.filter(finite)).as_py()
        if ends["min"] is not None:
            self.min, self.max = min(self.min, float(ends["min"])), max(self.max, float(ends["max"]))

    def _add_typed_numbers(self, numbers: pa.Array, counts: pa.Array) -> None:
        total = pc.sum(counts).as_py() or 0
        self.numbers += total
        self.integers += total if pa.types.is_integer(numbers.type) else 0
        self._add_range(numbers.cast(pa.float64(), safe=False), counts)
        self._count_values(numbers.cast(pa.string()), counts)

    def _add_text(self, texts: pa.Array, counts: pa.Array) -> None:
        self.max_bytes = max(self.max_bytes, pc.max(pc.binary_length(texts)).as_py() or 0)
        try:
            self._count_values(texts.cast(pa.large_string()), counts)
        except pa.ArrowInvalid:
            self.is_binary, self.values = True, None

    def _count_missing(self, cells: pa.Array, counts: pa.Array) -> None:
        trimmed = pc.utf8_trim_whitespace(cells)
        rows = pc.less_equal(pc.binary_length(trimmed), LONGEST)
        for cell, count in zip(cells.filter(rows).to_pylist(), counts.filter(rows).to_pylist(), strict=True):
            if is_certain(cell):
                self.missing[cell] += count

    def _count_values(self, texts: pa.Array, counts: pa.Array) -> None:
        if self.values is None or len(texts) > MAX_VALUES or self.max_bytes > MAX_TEXT:
            self.values = None
            return
        for text, count in zip(texts.to_pylist(), counts.to_pylist(), strict=True):
            self.values[text] += count
        self.values = self.values if len(self.values) <= MAX_VALUES else None


def number_of(cell: str) -> float | None:
    """The number of a cell, or ``None`` if it is none for the reader, which takes only ASCII digits and blanks.

    >>> number_of(" 7"), number_of("\N{NO-BREAK SPACE}7")
    (7.0, None)
    """
    try:
        return float(cell.encode())
    except ValueError:
        return None


def _is_int64(cell: str) -> bool:
    try:
        return int(cell.encode()) in INT64
    except ValueError:
        return False
