"""Reads the files of a table in any format."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from artifacts.fingerprint import ContentDigest
from custom_components.arrow_example_gen.formats import csv_types
from custom_components.arrow_example_gen.formats.csv_errors import cell_error, line_of_row
from custom_components.arrow_example_gen.formats.csv_types import CellError, ColumnType
from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.file_format import FORMATS, Format, file_format
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.formats.single_values import check_single_values
from custom_components.arrow_example_gen.formats.type_conflicts import type_conflict

if TYPE_CHECKING:
    from custom_components.arrow_example_gen.formats.tfrecord_types import RecordTypes

BYTES = "BYTES"
Columns = dict[str, pa.Array]


class FileType(NamedTuple):
    """The type that a column of a file becomes, and the file."""

    type: pa.DataType
    path: str


Types = Mapping[str, ColumnType | FileType]


@dataclasses.dataclass(frozen=True)
class Table:
    """What all files of a table have in common.

    Attributes:
        format: Format of the files.
        first: Path of the first file.
        columns: Columns of the first file, as its format has them. See :class:`.formats.file_format.FileFormat`.
        schema_types: ``INT``, ``FLOAT`` or ``BYTES`` by column, as far as the schema names the type.
        missing_values: Cells of a text file that mean a missing value, in addition to the empty cell.
        dialect: Delimiter and encoding of text files.
    """

    format: Format
    first: str
    columns: Any
    schema_types: Mapping[str, str] = dataclasses.field(default_factory=dict)
    missing_values: Sequence[str] = ()
    dialect: Dialect = COMMAS

    @classmethod
    def of(
        cls,
        kind: Format,
        first: str,
        schema_types: Mapping[str, str] | None = None,
        missing_values: Sequence[str] = (),
        dialect: Dialect = COMMAS,
    ) -> "Table":
        """Reads the columns of a table's first file.

        Raises:
            TableError: They cannot be read.
        """
        types = dict(schema_types or {})
        columns = file_format(kind).read_columns(first, types, dialect)
        return cls(kind, first, columns, types, tuple(missing_values), dialect)

    @property
    def is_text(self) -> bool:
        """Whether values are text below a header line."""
        return FORMATS[self.format].is_text

    def column_notes(self) -> tuple[str, ...]:
        """Lines that describe the columns that have no name of their own in the files, and those that are not read."""
        return tuple(file_format(self.format).column_notes(self.first, self.dialect))

    def check_columns(self, path: str) -> Any:
        """Checks that a file has the table's columns and returns the columns of this file.

        Raises:
            TableError: The columns differ.
        """
        if path == self.first:
            return self.columns
        return file_format(self.format).check_columns(path, self.columns, self.first, self.schema_types, self.dialect)

    def check_has(self, names: Iterable[str]) -> None:
        """Checks that the table has columns. Records list theirs one by one, so they are not checked.

        Raises:
            TableError: A column is missing.
        """
        for name in names if self.columns is not None else ():
            if name not in self.columns:
                raise TableError(f"{self.first}: found no column {shown(name)}; expected one of that name")

    def read(
        self, path: str, digest: ContentDigest | None = None, only: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch | list[bytes]]:
        """Yields the rows of a file in batches, with all columns or only some. See :mod:`.formats.file_format`.

        Raises:
            TableError: The file has other columns, or is damaged. The message says where.
        """
        columns = self.check_columns(path)
        try:
            yield from file_format(self.format).read_rows(path, columns, digest, self.dialect, only)
        except OSError as error:
            raise TableError(f"{path}: {error.strerror or error}; expected a readable file") from error

    def infer_types(self, path: str) -> Types:
        """Infers the types of the columns of a file that the schema does not name.

        Text is read for this if there are such columns. The other formats have types, and only those that differ
        between files matter.
        """
        if self.is_text:
            if set(self.columns) <= self.schema_types.keys():
                return {}
            return dict(csv_types.infer_types(self.read(path), self.missing_values, self.schema_types.keys()))
        columns = self.check_columns(path)
        return {name: FileType(kind, path) for name, kind in (columns or {}).items() if kind != pa.null()}

    def to_columns(self, batch: pa.RecordBatch, types: Types, path: str, before: int) -> Columns:
        """The columns of a batch by name. Those of a text file are converted to their types.

        Args:
            batch: Rows of a file.
            types: What :meth:`infer_types` returned, merged for all files.
            path: The file, for errors.
            before: Number of rows before these in the file.

        Raises:
            TableError: A cell does not have the type that the schema names. The message has its line.
        """
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        return {name: self._converted(name, each, types, path, before) for name, each in columns.items()}

    def location(self, path: str, row: int) -> str:
        """Where a row is, for errors. ``row`` counts from 1."""
        if self.is_text:
            return f"{path}: line {line_of_row(path, row, self.dialect)}"
        return f"{path}: {'record' if self.format == 'tfrecord' else 'row'} {row}"

    def check_cells(self, batch: pa.RecordBatch, path: str, before: int) -> None:
        """Checks that the cells of a text file have the types that the schema names. Raises like :meth:`to_columns`."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if self.is_text and self.schema_types.get(name, BYTES) != BYTES:
                self._parsed(name, column, column.unique(), path, before)

    def _converted(self, name: str, column: pa.Array, types: Types, path: str, before: int) -> pa.Array:
        if not self.is_text:
            return column
        cells = column.dictionary_encode()
        if name in self.schema_types:
            values = self._parsed(name, column, cells.dictionary, path, before)
        else:
            kind = types[name]
            assert isinstance(kind, ColumnType)
            try:
                values = csv_types.convert(csv_types.without_missing(cells.dictionary, self.missing_values), kind)
            except (ValueError, OverflowError) as error:  # the types are those of all cells
                text = f"{path}: column {shown(name)}: found other cells than a moment ago ({error})"
                raise TableError(f"{text}; run again when nothing writes to the file") from error
        return pa.DictionaryArray.from_arrays(cells.indices, values)

    def _parsed(self, name: str, column: pa.Array, cells: pa.Array, path: str, before: int) -> pa.Array:
        """The distinct cells of a column with the type of the schema."""
        try:
            return csv_types.parse(cells, self.schema_types[name], self.missing_values)
        except CellError as error:
            row = before + pc.index(column, error.cell).as_py() + 1
            raise cell_error(path, row, name, error, self.dialect) from error


class RowChecks:
    """Checks the rows of all files of a table in the order of the files, in addition to what reading them checks."""

    def __init__(self, table: Table, single: AbstractSet[str] = frozenset()) -> None:
        """Creates the checks of a table. The columns in ``single`` must have at most one value per row."""
        self._table, self._single = table, single
        self._records = _record_types(table, single)

    def check(self, batch: pa.RecordBatch | list[bytes], path: str, before: int) -> pa.RecordBatch:
        """Checks a batch, and returns it as columns.

        Args:
            batch: Rows of a file.
            path: The file, for errors.
            before: Number of rows before these in the file.

        Raises:
            TableError: A cell does not have the type that the schema names, a record is not a tf.Example, a feature has
                another type than in another record, or a row has several values in a column that must have one.
        """
        if isinstance(batch, list):
            assert self._records
            return self._records.check(batch, path, before)
        if self._table.is_text:
            self._table.check_cells(batch, path, before)
        else:
            check_single_values(batch, self._single, f"{path}: row", before)
        return batch


def merge_types(parts: Iterable[Types]) -> Types:
    """Merges the types that were found in several files.

    >>> merge_types([{"fare": ColumnType.INT}, {"fare": ColumnType.FLOAT}])
    {'fare': <ColumnType.FLOAT: 2>}

    Raises:
        TableError: A column becomes one type in one file and another type in another.
    """
    merged: dict[str, ColumnType | FileType] = {}
    for part in parts:
        for name, found in part.items():
            known = merged.setdefault(name, found)
            if isinstance(found, FileType) and isinstance(known, FileType):
                if found.type != known.type:
                    raise type_conflict(found.path, name, found.type, known.type, known.path)
            elif isinstance(found, ColumnType) and isinstance(known, ColumnType):
                merged[name] = max(known, found)
    return merged


def _record_types(table: Table, single: AbstractSet[str]) -> "RecordTypes | None":
    if table.format != "tfrecord":
        return None
    # Takes 0.2 s to import, and is only needed for records.
    from custom_components.arrow_example_gen.formats.tfrecord_types import RecordTypes  # noqa: PLC0415

    return RecordTypes(table.schema_types, single)
