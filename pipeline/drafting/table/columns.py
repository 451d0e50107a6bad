"""Describes the columns of a table from counts over all rows and a sample."""

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.csv_types import without_missing
from pipeline.drafting.table.counts import ColumnCounts, number_of
from pipeline.drafting.table.date_styles import is_epoch
from pipeline.drafting.table.forms import MIN_ROWS, Form, are_dates, form_of_texts, names_rows, names_times
from pipeline.drafting.table.lists import Lists, describe_lists
from pipeline.drafting.table.missing import is_likely
from pipeline.drafting.table.reading import Read

Type = Literal["INT", "FLOAT", "BYTES"]
NAN = ("nan", "-nan")  # as Arrow writes it
MIN_DATES = 5  # different integers that are dates by more than chance
REPEATED = 2  # rows per value from which on values do not identify a row
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        type: Its type in the schema.
        form: What its values are.
        rows: Rows of the table.
        missing: Rows without a value.
        distinct: Number of distinct values, in the sample if it is not exact.
        is_exact: Whether ``distinct`` counts all rows.
        values: Rows by distinct value, if there are few enough to count them. Missing values are left out.
        min: Smallest number.
        max: Largest number.
        is_finite: Whether all numbers are finite.
        max_bytes: Length of the longest text.
        is_text: Whether all values are text in UTF-8.
        sample: Values of the sample: strings for ``BYTES``, else float64. Nulls are missing values.
        lists: The lists of a column with several values per row, else ``None``.
    """

    name: str
    type: Type
    form: Form
    rows: int
    missing: int
    distinct: int
    is_exact: bool
    values: Mapping[str, int] | None
    min: float
    max: float
    is_finite: bool
    max_bytes: int
    is_text: bool
    sample: pa.Array
    lists: Lists | None = None

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.form == "number"

    @functools.cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The sample as float64 [N], with NaN where a value is missing."""
        return self.sample.cast(pa.float64()).fill_null(math.nan).to_numpy(zero_copy_only=False)

    @functools.cached_property
    def repetition(self) -> float:
        """Mean number of rows per distinct value. If values are only counted in a sample, an estimate.

        The sample lacks values, and many of those that repeat in the table are in it once. From the numbers of values
        that it has once and twice, Chao's estimator (Chao, 1984, bias-corrected) gives how many the table has.
        """
        distinct = float(self.distinct)
        if not self.is_exact:
            counts = np.bincount(self.codes[self.codes >= 0])
            once, twice = int((counts == 1).sum()), int((counts == 2).sum())
            distinct = min(distinct + once * (once - 1) / (2 * (twice + 1)), self.present)
        return self.present / max(distinct, 1.0)

    @functools.cached_property
    def codes(self) -> npt.NDArray[np.int64]:
        """The index of each value of the sample among the distinct ones, in the order of their first row: int64 [N].

        A missing value has -1.
        """
        encoded = self.sample.dictionary_encode()
        return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def missing_cells(counts: ColumnCounts, is_category: bool = False) -> set[str]:
    """The cells of a column that mean a missing value: those that certainly do, and likely ones among numbers."""
    cells = set(counts.missing)
    if not is_category and counts.numbers and counts.words and all(map(is_likely, counts.words)):
        cells |= set(counts.words)
    return cells


def describe(read: Read, counts: ColumnCounts, missing_values: Collection[str], is_category: bool = False) -> Column:
    """Describes a column.

    Args:
        read: The content of the files.
        counts: Counts of the column.
        missing_values: Cells that mean a missing value anywhere in the table.
        is_category: Whether its values are categories, whatever they look like.
    """
    missing = read.rows - counts.cells + counts.undefined + _rows_with(counts, missing_values)
    words = sum(count for word, count in (counts.words or {}).items() if word not in missing_values)
    values = None
    if counts.values is not None:
        not_values = {*missing_values, *NAN}
        values = {value: count for value, count in counts.values.items() if value not in not_values}
    as_text = is_category and not counts.stored_type
    type_: Type = "BYTES" if as_text else _type(counts, words, read.rows - missing)
    sample = _sample(read.sample_of(counts.name), type_, missing_values)
    distinct = len(sample.drop_null().unique() if values is None else values)
    column = Column(
        name=counts.name,
        type=type_,
        form="number",
        rows=read.rows,
        missing=missing,
        distinct=distinct,
        is_exact=values is not None or not read.is_sampled,
        values=values,
        min=counts.min,
        max=counts.max,
        is_finite=counts.infinite == 0,
        max_bytes=counts.max_bytes,
        is_text=not counts.is_binary,
        sample=sample,
    )
    form = _form(column, counts, is_category)
    lists = describe_lists(counts, sample.drop_null(), read.is_sampled) if form == "list" else None
    return dataclasses.replace(column, form=form, lists=lists)


def _rows_with(counts: ColumnCounts, missing_values: Collection[str]) -> int:
    """Rows with a cell that means a missing value."""
    if counts.stored_type:
        return 0
    found = dict(counts.missing) | {
        word: count for word, count in (counts.words or {}).items() if word in missing_values
    }
    if counts.values is not None:
        found |= {value: count for value, count in counts.values.items() if value in missing_values}
    return sum(count for cell, count in found.items() if cell in missing_values)


def _type(counts: ColumnCounts, words: int, present: int) -> Type:
    if counts.stored_type:
        return counts.stored_type  # type: ignore[return-value]
    if not present or words or counts.words is None or counts.zeros:
        return "BYTES"
    if counts.integers == counts.numbers:
        return "INT"
    return "FLOAT" if _fits(counts) else "BYTES"


def _sample(column: pa.Array, type_: Type, missing_values: Collection[str]) -> pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_string(column.type):
        column = without_missing(column, list(missing_values))
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        return column if type_ == "BYTES" else _numbers(column)
    if type_ == "BYTES":
        texts = [None if each is None else each.decode(errors="replace") for each in column.to_pylist()]
        return pa.array(texts, pa.string())
    numbers = column.cast(pa.float64(), safe=False)  # integers from 2**53 on are rounded
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _numbers(cells: pa.Array) -> pa.Array:
    try:
        numbers = cells.cast(pa.float64())
    except pa.ArrowInvalid:  # such as ' 7' and '1_000', which Python accepts
        numbers = pa.array([None if cell is None else number_of(cell) for cell in cells.to_pylist()], pa.float64())
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _form(column: Column, counts: ColumnCounts, is_category: bool) -> Form:
    if counts.is_list:
        return "list"
    if not column.present:
        return "empty"
    if column.distinct == 1 and column.is_exact:
        return "constant"
    if is_category:
        return "category"
    return _form_of_texts(column, counts) if column.type == "BYTES" else _form_of_numbers(column)


def _form_of_texts(column: Column, counts: ColumnCounts) -> Form:
    if 0 < counts.numbers >= column.present and not counts.zeros and not _fits(counts):
        return "too_large"
    texts = column.sample.drop_null().unique().to_pylist()
    form = form_of_texts(texts, round(len(texts) * column.repetition)) if texts else "category"
    return "category" if form == "identifier" and _few(column) else form


def _fits(counts: ColumnCounts) -> bool:
    return counts.min > counts.max or max(abs(counts.min), abs(counts.max)) <= FLOAT32_MAX


def _few(column: Column) -> bool:
    return column.values is not None and column.distinct <= column.present / 2


def _form_of_numbers(column: Column) -> Form:
    """Numbers, dates, or identifiers: these number the rows, or have a name that says so and hardly repeat."""
    if column.min > column.max:
        return "infinite"
    numbers = column.sample.drop_null()
    if column.type == "FLOAT" or len(numbers) < MIN_ROWS:
        return "number"
    differ = column.distinct >= len(numbers)
    counts_rows = differ and column.min in (0, 1) and column.max - column.min + 1 == column.present
    if counts_rows or (names_rows(column.name) and column.repetition < REPEATED):
        return "identifier"
    distinct = numbers.unique()
    if len(distinct) <= MIN_DATES:
        return "number"
    is_epoch_time = names_times(column.name) and is_epoch(column.min, column.max)
    return "date" if is_epoch_time or are_dates(distinct.to_pylist()) else "number"
