"""Reads a CSV file as batches of strings."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.csv

from artifacts.fingerprint import ContentDigest
from custom_components.arrow_example_gen.formats import column_names, csv_errors
from custom_components.arrow_example_gen.formats.csv_errors import LongLineError, bounded_lines
from custom_components.arrow_example_gen.formats.csv_header import header_difference, header_problem
from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.files import (
    BATCH_ROWS,
    GZIP_ERRORS,
    TableError,
    broken_gzip,
    name_of,
)
from custom_components.arrow_example_gen.formats.text_files import not_utf8, open_text

BLOCK_BYTES = 4 << 20  # also the maximum length of a row
END = "end of file"


def read_columns(path: str, _schema_types: Mapping[str, str] | None = None, dialect: Dialect = COMMAS) -> list[str]:
    """Reads the names of the columns. Those without a name of their own get one.

    Raises:
        TableError: There is no header line, it is blank or too long, or the file has another delimiter.
    """
    return column_names.unique_names(_read_header(path, dialect))


def column_notes(path: str, dialect: Dialect = COMMAS) -> list[str]:
    """Describes the columns that have no name of their own in the header. Raises like :func:`read_columns`."""
    return column_names.renamed_columns(_read_header(path, dialect))


def _read_header(path: str, dialect: Dialect) -> list[str]:
    try:
        opened = open_text(path, dialect.encoding)
        with opened as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            header = next(csv.reader(bounded_lines(text, BLOCK_BYTES), delimiter=dialect.delimiter), None)
    except (csv.Error, LongLineError) as error:
        raise TableError(f"{path}: line 1: {error}; expected a header line of column names") from error
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except GZIP_ERRORS as error:
        raise broken_gzip(path, csv_errors.complete_lines(path), "line") from error
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}; expected a readable file") from error
    if header is None:
        raise TableError(f"{path}: the file is empty; expected a header line and rows")
    if problem := header_problem(header, dialect.delimiter):
        raise TableError(f"{path}: line 1: {problem}")
    return header


def check_columns(
    path: str,
    columns: Sequence[str],
    first: str,
    _schema_types: Mapping[str, str] | None = None,
    dialect: Dialect = COMMAS,
) -> Sequence[str]:
    """Checks that a file has the same header as the table's first file and returns its columns.

    Raises:
        TableError: The columns or their order differ.
    """
    found = read_columns(path, None, dialect)
    if found != list(columns):
        problem = header_difference(found, columns, name_of(first))
        raise TableError(f"{path}: line 1: {problem}; expected the same header")
    return columns


def read_rows(
    path: str,
    columns: Sequence[str],
    digest: ContentDigest | None = None,
    dialect: Dialect = COMMAS,
    only: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file, without blank lines, as columns of strings.

    Quotes, line ends and blank lines are handled as in Python's csv module.

    Args:
        path: The file.
        columns: Its columns.
        digest: Updated with the bytes of the file.
        dialect: Delimiter and encoding.
        only: The columns to yield, or empty for all.

    Raises:
        TableError: A row has more or fewer values than the header, or is too long, a quote is not closed, the text has
            another encoding, or the file is truncated.
    """
    try:
        with open_text(path, dialect.encoding, digest) as file:
            reader = _open_csv(_FileWithEndRow(file, len(columns), dialect.delimiter), columns, dialect.delimiter, only)
            for batch in _without_end_row(path, reader, dialect):
                yield from (batch.slice(start, BATCH_ROWS) for start in range(0, batch.num_rows, BATCH_ROWS))
    except pa.ArrowInvalid as error:
        raise _table_error(path, columns, dialect, str(error)) from error
    except GZIP_ERRORS as error:
        raise broken_gzip(path, csv_errors.complete_lines(path), "line") from error


class _FileWithEndRow:
    """A file with one more row at the end. It is read as a row only if no quote before it is open."""

    closed = False

    def __init__(self, file: IO[bytes], columns: int, delimiter: str) -> None:
        self._file = file
        self._rest = f"\n{delimiter.join([_end(delimiter)] * columns)}\n".encode()

    def read(self, size: int) -> bytes:
        """Returns ``size`` bytes, or the rest."""
        found = self._file.read(size)
        while len(found) < size and (more := self._file.read(size - len(found))):
            found += more
        if len(found) < size:
            found += self._rest
            found, self._rest = found[:size], found[size:]
        return found


def _end(delimiter: str) -> str:
    """The first cell of the row at the end of a file."""
    return END.replace(delimiter, "." if delimiter != "." else "-")


def _open_csv(
    file: _FileWithEndRow, columns: Sequence[str], delimiter: str, only: Sequence[str]
) -> pa.csv.CSVStreamingReader:
    return pa.csv.open_csv(
        file,
        read_options=pa.csv.ReadOptions(
            use_threads=False, block_size=BLOCK_BYTES, column_names=columns, skip_rows_after_names=1
        ),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), include_columns=list(only) or None
        ),
    )


def _without_end_row(path: str, batches: Iterable[pa.RecordBatch], dialect: Dialect) -> Iterator[pa.RecordBatch]:
    """Yields all rows but the last, which must be that of ``_FileWithEndRow``."""
    last = None
    for batch in batches:
        if last is not None:
            yield last
        last = batch
    assert last is not None
    if last.column(0)[-1].as_py() != _end(dialect.delimiter):
        line = csv_errors.last_row(path, dialect)
        raise TableError(f"{path}: line {line}: found a quote that is never closed; expected a closing quote")
    yield last.slice(0, last.num_rows - 1)


def _table_error(path: str, columns: Sequence[str], dialect: Dialect, message: str) -> TableError:
    if "UTF8" in message:
        return not_utf8(path)
    if "columns" in message and (ragged := csv_errors.ragged_row(path, len(columns), dialect)):
        found = f"{ragged.values} value{'' if ragged.values == 1 else 's'}"
        if ragged.end > ragged.line:
            found += f" up to line {ragged.end}"
        hint = ": is a quote unclosed?" if ragged.end > ragged.line else ""
        text = f"{path}: line {ragged.line}: found {found}; expected {len(columns)}, as in the header"
        return TableError(text + hint)
    if "straddl" in message:
        line, limit = csv_errors.long_row(path, BLOCK_BYTES, dialect.encoding), BLOCK_BYTES >> 20
        return TableError(
            f"{path}: line {line}: found a row of more than {limit} MiB; expected a shorter one: is a quote unclosed?"
        )
    return TableError(f"{path}: {message}; expected a CSV file")
