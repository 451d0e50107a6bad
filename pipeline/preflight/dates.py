"""Counts the values of features of the kind ``date`` that are no dates."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.dotted_keys import join_key
from custom_components.arrow_example_gen.formats import csv_types
from custom_components.arrow_example_gen.formats.files import shown
from custom_components.arrow_example_gen.splits.cells import cells_of
from custom_components.arrow_example_gen.table import Table
from pipeline.config.errors import DataError
from pipeline.config.settings import Config
from pipeline.date_values import read_dates

MIN_SHARE = 0.5  # of the values that have to be dates


@dataclasses.dataclass
class _Count:
    values: int = 0
    others: int = 0
    first: tuple[str, int, str] | None = None  # file, number of the row, value


class DateCounts:
    """Counts the values of each column that the Transform graph will read as missing, because they are no dates."""

    def __init__(self, config: Config, table: Table) -> None:
        """Creates the counts of a table, all 0."""
        self._specs, self._table = config.features.date, table
        self._counts = {name: _Count() for name in self._specs}

    def add(self, batch: pa.RecordBatch, path: str, before: int) -> None:
        """Counts the values of a batch.

        Args:
            batch: Rows of a file.
            path: The file.
            before: Number of rows before these in the file.
        """
        for name, count in self._counts.items():
            cells = cells_of(self._table, batch, name, path, before)
            if pa.types.is_dictionary(cells.type):
                cells = cells.dictionary_decode()
            found = cells.value_counts()
            values = self._values(name, found.field(0))
            known = values.is_valid()
            rows = found.field(1).filter(known).to_numpy()
            is_date = read_dates(values.drop_null(), self._specs[name]).valid
            count.values += int(rows.sum())
            count.others += int(rows[~is_date].sum())
            if count.first is None and not is_date.all():
                others = found.field(0).filter(known).filter(pa.array(~is_date))
                row = int(np.argmax(pc.is_in(cells, others).to_numpy(zero_copy_only=False)))
                count.first = path, before + row + 1, _shown(cells[row].as_py())

    def _values(self, name: str, distinct: pa.Array) -> pa.Array:
        """Distinct cells with the type of the schema, with null for missing ones."""
        if self._table.is_text and self._table.schema_types.get(name) == "INT":
            return csv_types.parse(distinct, "INT", self._table.missing_values)
        if pa.types.is_integer(distinct.type) or pa.types.is_null(distinct.type):
            return distinct
        empty = pc.equal(pc.binary_length(distinct), 0)
        return pc.if_else(empty, pa.scalar(None, distinct.type), distinct)

    def finish(self) -> Iterator[str]:
        """Yields one line for each column with values that are no dates.

        Raises:
            DataError: Most values of a column are no dates.
        """
        for name, count in self._counts.items():
            if count.first is None:
                continue
            path, row, value = count.first
            location, key = self._table.location(path, row), join_key(["features", "date", name])
            expected = self._specs[name].shown
            share = f"{count.others:,} of {count.values:,} values"
            if count.others > (1 - MIN_SHARE) * count.values:
                raise DataError(
                    f"{location}: column {shown(name)}: found {value}; expected {expected}, as in {key}. "
                    f"{share} do not have it: correct the setting"
                )
            yield (
                f"{share} of '{name}' do not have the {expected} of {key}, such as {value} in "
                f"{location}: they count as missing"
            )


def _shown(value: object) -> str:
    return shown(value) if isinstance(value, str | bytes) else str(value)
