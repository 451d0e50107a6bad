"""Finds the line of a CSV file at which reading failed, by reading the file again, in bounded memory."""

import csv
import io
import itertools
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from custom_components.arrow_example_gen.formats.csv_types import CellError
from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.files import (
    BATCH_BYTES,
    CHUNK_BYTES,
    GZIP,
    GZIP_ERRORS,
    TableError,
    open_raw,
    shown,
)
from custom_components.arrow_example_gen.formats.text_files import open_text

MISSING_HINT = "if it means a missing value, add it to data.missing_values"


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        line: Line at which it starts.
        values: Number of its values.
        end: Line at which it ends.
    """

    line: int
    values: int
    end: int


def ragged_row(path: str, columns: int, dialect: Dialect = COMMAS) -> Row | None:
    """The first row that does not have ``columns`` values."""
    return next((row for row in _rows(path, dialect) if row.values != columns), None)


def last_row(path: str, dialect: Dialect = COMMAS) -> int:
    """The line at which the last row starts."""
    return max((row.line for row in _rows(path, dialect)), default=1)


def line_of_row(path: str, row: int, dialect: Dialect = COMMAS) -> int:
    """The line at which a row starts, where row 0 is the header."""
    return next((found.line for found in itertools.islice(_rows(path, dialect), row, None)), 1)


def cell_error(path: str, row: int, column: str, error: CellError, dialect: Dialect = COMMAS) -> TableError:
    """The error for a cell that does not have the type of its column, with its line. ``row`` counts from 1."""
    text = f"{path}: line {line_of_row(path, row, dialect)}: column {shown(column)}: {error}"
    return TableError(f"{text}; {MISSING_HINT}")


def _rows(path: str, dialect: Dialect) -> Iterator[Row]:
    """Yields each row. Ends before a row that is too long."""
    # Latin-1 accepts any byte: encoding errors are reported elsewhere.
    opened = open_text(path, dialect.encoding, errors="replace")
    with opened as file, io.TextIOWrapper(file, encoding="latin-1", newline="") as text:
        limit = csv.field_size_limit(BATCH_BYTES)
        try:
            reader = csv.reader(bounded_lines(text, BATCH_BYTES), delimiter=dialect.delimiter)
            line = 1
            for cells in reader:
                if cells:
                    yield Row(line, len(cells), reader.line_num)
                line = reader.line_num + 1
        except (csv.Error, LongLineError):
            return
        finally:
            csv.field_size_limit(limit)


class LongLineError(ValueError):
    """A line is too long to be read into memory."""


def bounded_lines(text: io.TextIOBase, max_characters: int) -> Iterator[str]:
    """Yields lines with their ends, like iterating over ``text``, but in bounded memory.

    Raises:
        LongLineError: A line has more than ``max_characters``.
    """
    while line := text.readline(max_characters + 1):
        if len(line) > max_characters:
            raise LongLineError(f"found a line of more than {max_characters} characters")
        yield line


def long_row(path: str, max_bytes: int, encoding: str) -> int:
    """The line of the first row that has more than ``max_bytes``, or an unclosed quote."""
    start, number, size, in_quotes = 1, 1, 0, False
    with open_text(path, encoding, errors="replace") as file:
        while piece := file.readline(CHUNK_BYTES):
            size += len(piece)
            in_quotes ^= piece.count(b'"') % 2 == 1
            if size > max_bytes:
                return start
            number += piece.endswith(b"\n")
            if piece.endswith(b"\n") and not in_quotes:
                start, size = number, 0
    return start


def complete_lines(path: str) -> int:
    """Number of complete lines in a gzipped file, up to where it can be decompressed."""
    assert path.endswith(GZIP)
    lines, rest = 0, b""
    with open_raw(path) as file:
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            while chunk := rest or file.read(CHUNK_BYTES):
                lines += unzip.decompress(chunk, CHUNK_BYTES).count(b"\n")
                rest = unzip.unconsumed_tail
                if unzip.eof:  # end of a member, which another one may follow
                    rest, unzip = unzip.unused_data, zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        except GZIP_ERRORS:
            pass
    return lines
