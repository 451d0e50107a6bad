"""Reads the files of a table in any format."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from custom_components.arrow_example_gen.formats import csv_types
from custom_components.arrow_example_gen.formats.csv_types import Types
from custom_components.arrow_example_gen.formats.file_format import FORMATS, Format, file_format
from custom_components.arrow_example_gen.formats.files import TableError

Columns = dict[str, pa.Array]


@dataclasses.dataclass(frozen=True)
class Table:
    """What all files of a table have in common.

    Attributes:
        format: Format of the files.
        first: Path of the first file.
        columns: Columns of the first file, as its format has them. See :class:`.formats.file_format.FileFormat`.
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
        return cls(kind, first, file_format(kind).read_columns(first))

    def check_columns(self, path: str) -> Any:
        """Checks that a file has the table's columns and returns the columns of this file.

        Raises:
            TableError: The columns differ.
        """
        if path == self.first:
            return self.columns
        return file_format(self.format).check_columns(path, self.columns, self.first)

    def read(self, path: str) -> Iterator[pa.RecordBatch | list[bytes]]:
        """Yields the rows of a file in batches. See :class:`.formats.file_format.FileFormat`.

        Raises:
            TableError: The file has other columns, or is damaged. The message says where.
        """
        columns = self.check_columns(path)
        try:
            yield from file_format(self.format).read_rows(path, columns)
        except OSError as error:
            raise TableError(f"{path}: {error.strerror or error}; expected a readable file") from error


def infer_types(table: Table, path: str) -> Types:
    """Infers the types of a text file's columns. Empty for other formats, which have types."""
    return csv_types.infer_types(table.read(path)) if FORMATS[table.format].is_text else {}


def to_columns(batch: pa.RecordBatch, types: Types) -> Columns:
    """The columns of a batch by name. Those of a text file are converted to the inferred types."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return {name: _converted(column, types[name]) if name in types else column for name, column in columns.items()}


def _converted(column: pa.Array, kind: csv_types.ColumnType) -> pa.DictionaryArray:
    cells = column.dictionary_encode()
    return pa.DictionaryArray.from_arrays(cells.indices, csv_types.convert(cells.dictionary, kind))
