"""Streams a CSV file as batches of text, in constant memory."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.csv

from custom_components.arrow_example_gen import csv_errors
from custom_components.arrow_example_gen.files import (
    BATCH_ROWS,
    GZIP_ERRORS,
    TableError,
    broken_gzip,
    name_of,
    open_file,
)

BLOCK_BYTES = 4 << 20  # the longest row that can be read
END = "end of file"


def read_columns(path: str) -> list[str]:
    """The names of the columns.

    Raises:
        TableError: There is no header line, or one that names no columns, or names one twice.
    """
    try:
        with open_file(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            header = next(csv.reader(text), None)
    except csv.Error as error:
        raise TableError(f"{path}: line 1: {error}; expected a header line of column names") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: {csv_errors.not_utf8(path)}; save the file as UTF-8") from error
    except GZIP_ERRORS as error:
        raise broken_gzip(path, csv_errors.whole_lines(path), "line") from error
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}; expected a file that can be read") from error
    if header is None:
        raise TableError(f"{path}: the file is empty; expected a header line and rows")
    if not header:
        raise TableError(f"{path}: line 1: it is blank; expected a header line of column names")
    if header[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
        raise TableError(f"{path}: line 1: found a byte-order mark; save the file as UTF-8 without one")
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TableError(f"{path}: line 1: found the column '{twice}' twice; expected each name once")
    return header


def check_columns(path: str, columns: Sequence[str], first: str) -> Sequence[str]:
    """Checks that a file has the columns of the table's first one; returns them.

    Raises:
        TableError: It has others, or in another order.
    """
    if read_columns(path) != list(columns):
        raise TableError(f"{path}: line 1: its columns differ from those of {name_of(first)}; expected the same header")
    return columns


def read_rows(path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields a file's rows, blank lines left out, each column as text.

    Quotes, line ends and blank lines are taken as Python's csv module takes them.

    Args:
        path: The file.
        columns: Its columns.

    Raises:
        TableError: A row has more or fewer values than the header, or is too long; a quote is never closed; the text
            is not UTF-8; the file is cut off.
    """
    try:
        with open_file(path) as file:
            for batch in _before_the_end(path, _open_csv(_Ended(file, len(columns)), columns)):
                yield from (batch.slice(start, BATCH_ROWS) for start in range(0, batch.num_rows, BATCH_ROWS))
    except pa.ArrowInvalid as error:
        raise _explained(path, columns, str(error)) from error
    except GZIP_ERRORS as error:
        raise broken_gzip(path, csv_errors.whole_lines(path), "line") from error


class _Ended:
    """A file with one more row, which can only be read as one if no quote before it is left open."""

    closed = False

    def __init__(self, file: IO[bytes], columns: int) -> None:
        self._file = file
        self._rest = b"\n" + END.encode() + b"," * (columns - 1) + b"\n"

    def read(self, size: int) -> bytes:
        """Returns ``size`` bytes, or what is left."""
        found = self._file.read(size)
        while len(found) < size and (more := self._file.read(size - len(found))):
            found += more
        if len(found) < size:
            found += self._rest
            found, self._rest = found[:size], found[size:]
        return found


def _open_csv(file: _Ended, columns: Sequence[str]) -> pa.csv.CSVStreamingReader:
    return pa.csv.open_csv(
        file,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
    )


def _before_the_end(path: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields the rows but for the last one, which has to be that of ``_Ended``."""
    last = None
    for batch in batches:
        if last is not None:
            yield last
        last = batch
    assert last is not None
    if last.column(0)[-1].as_py() != END:
        line = csv_errors.last_row(path)
        raise TableError(
            f"{path}: line {line}: found a quote that is never closed; expected the file to end outside one"
        )
    yield last.slice(0, last.num_rows - 1)


def _explained(path: str, columns: Sequence[str], arrow_said: str) -> TableError:
    if "UTF8" in arrow_said:
        return TableError(f"{path}: {csv_errors.not_utf8(path)}; save the file as UTF-8")
    if "columns" in arrow_said and (ragged := csv_errors.ragged(path, len(columns))):
        line, found = ragged
        return TableError(f"{path}: line {line}: found {found} values; expected {len(columns)}, as the header has")
    if "straddl" in arrow_said:
        line, most = csv_errors.long_row(path, BLOCK_BYTES), BLOCK_BYTES >> 20
        return TableError(
            f"{path}: line {line}: found a row of more than {most} MiB; expected a shorter one: is a quote left open?"
        )
    return TableError(f"{path}: {arrow_said}; expected a CSV file")
