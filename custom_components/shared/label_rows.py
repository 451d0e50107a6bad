"""The rows of a table that have a label. The others are left out of all splits."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.problem.class_values import numeric_values, text_values

LABEL_ROWS = "label_rows"  # option of ExampleGen


@dataclasses.dataclass(frozen=True)
class LabelRows:
    """What a row must have in the columns of the label.

    Attributes:
        column: Column with the label's values.
        classes: The label's classes, if the schema does not limit the column to them.
        absent: Columns whose missing values are allowed. Rows without one have no label.
        undefined: Columns of floats whose NaN and infinite values are allowed. Rows with one have no label.
    """

    column: str
    classes: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide about a row. Empty if every row is used."""
        checked = (self.column,) if self.classes else ()
        return tuple(dict.fromkeys((*checked, *self.absent, *self.undefined)))

    def to_options(self) -> dict[str, Any]:
        """Returns the record as an option of ExampleGen, or nothing if every row is used."""
        return {LABEL_ROWS: {name: each for name, each in _as_lists(self).items() if each}} if self.columns else {}

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "LabelRows | None":
        """Reads the option that :meth:`to_options` returned."""
        if LABEL_ROWS not in options:
            return None
        found = dict(options[LABEL_ROWS])
        lists = {name: tuple(map(str, each)) for name, each in found.items() if name != "column"}
        return cls(str(found["column"]), **lists)

    def labeled(self, columns: Mapping[str, pa.Array], count: int) -> pa.BooleanArray:
        """Which of ``count`` rows have a label.

        Args:
            columns: The columns by name: int64, float32 or bytes, or lists of at most one of these. A column that is
                not there has no values.
            count: Number of rows.
        """
        found = pa.array([True]).take(pa.array([0] * count, pa.int32()))
        for name in self.absent:
            values = first_values(columns[name]) if name in columns else pa.nulls(count)
            present = values.is_valid()
            if pa.types.is_large_binary(values.type) or pa.types.is_binary(values.type):
                present = pc.and_(present, pc.greater(pc.fill_null(pc.binary_length(values), 0), 0))
            found = pc.and_(found, present)
        for name in self.undefined:
            values = first_values(columns[name]) if name in columns else pa.nulls(count)
            if pa.types.is_floating(values.type):
                found = pc.and_(found, pc.fill_null(pc.is_finite(values), fill_value=True))
        return found

    def first_other(self, columns: Mapping[str, pa.Array], labeled: pa.BooleanArray) -> int | None:
        """Index of the first labeled row whose value stands for no class, or ``None``.

        A missing value that is not allowed is for the anomaly gate to find.
        """
        if not self.classes or self.column not in columns:
            return None
        values = first_values(columns[self.column])
        known = pc.is_in(values, class_values(self.classes, values.type))
        others = pc.and_(pc.and_(labeled, values.is_valid()), pc.invert(known))
        index = pc.index(others, value=True).as_py()
        return None if index < 0 else int(index)


def class_values(classes: Sequence[str], kind: pa.DataType) -> pa.Array:
    """The values that stand for classes, as the given type: bytes, int64 or float32."""
    if pa.types.is_null(kind):
        return pa.nulls(0)
    if pa.types.is_integer(kind):
        return pa.array([number for number in numeric_values(classes) if isinstance(number, int)], kind)
    if pa.types.is_floating(kind):
        return pa.array(list(map(float, numeric_values(classes))), pa.float64()).cast(kind)
    return pa.array([text.encode() for text in text_values(classes)], kind)


def value_text(value: float | bytes) -> str:
    """A value of the label as text, for errors.

    >>> value_text(b"Cash"), value_text(7), value_text(0.5)
    ('Cash', '7', '0.5')
    """
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else f"{value:g}"


def first_values(column: pa.Array) -> pa.Array:
    """The first value of each row, or null where there is none."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if not pa.types.is_large_list(column.type) and not pa.types.is_list(column.type):
        return column
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    starts = pc.cast(column.offsets[:-1], pa.int64())
    return column.values.take(pc.if_else(pc.greater(lengths, 0), starts, None))


def _as_lists(rows: LabelRows) -> dict[str, Any]:
    values = dataclasses.asdict(rows)
    return {name: list(each) if isinstance(each, tuple) else each for name, each in values.items()}
