"""A table's files, of any format, as columns that can be encoded, or as records that are."""

import dataclasses
import importlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from custom_components.arrow_example_gen import csv_types
from custom_components.arrow_example_gen.csv_types import Types
from custom_components.arrow_example_gen.files import TableError
from custom_components.arrow_example_gen.source import Format

Columns = dict[str, pa.Array]


@dataclasses.dataclass(frozen=True)
class Table:
    """What the files of a table have in common.

    Attributes:
        format: What is in them; the module ``<format>_files`` reads it.
        first: The first one.
        columns: Its columns, as that module reads them; none of TFRecord, whose records name their own.
    """

    format: Format
    first: str
    columns: Any

    @classmethod
    def of(cls, kind: Format, first: str) -> "Table":
        """Reads the columns of a table's first file.

        Raises:
            TableError: They cannot be read.
        """
        return cls(kind, first, _reader(kind).read_columns(first))

    def check_columns(self, path: str) -> Any:
        """Checks that a file has the table's columns; returns them as this file has them.

        Raises:
            TableError: It has others.
        """
        if path == self.first:
            return self.columns
        return _reader(self.format).check_columns(path, self.columns, self.first)

    def read(self, path: str) -> Iterator[pa.RecordBatch | list[bytes]]:
        """Yields a file's rows: columns of text (CSV), columns of the types of tf.Examples (Parquet), or records.

        Raises:
            TableError: The file is none of the table's, or is damaged; with the place in it.
        """
        columns = self.check_columns(path)
        try:
            yield from _reader(self.format).read_rows(path, columns)
        except OSError as error:
            raise TableError(f"{path}: {error.strerror or error}; expected a file that can be read") from error


def infer_types(table: Table, path: str) -> Types:
    """The types of a CSV file's columns; none of other formats, which say them."""
    return csv_types.infer_types(table.read(path)) if table.format == "csv" else {}


def to_columns(batch: pa.RecordBatch, types: Types) -> Columns:
    """The columns of a batch by name, those of a CSV file with the types that were inferred."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return {name: _typed(column, types[name]) if name in types else column for name, column in columns.items()}


def _typed(column: pa.Array, kind: csv_types.ColumnType) -> pa.DictionaryArray:
    cells = column.dictionary_encode()
    return pa.DictionaryArray.from_arrays(cells.indices, csv_types.convert(cells.dictionary, kind))


def _reader(kind: Format) -> Any:
    # One table needs one of them, and pyarrow.parquet takes a tenth of a second to import.
    return importlib.import_module(f"custom_components.arrow_example_gen.{kind}_files")
