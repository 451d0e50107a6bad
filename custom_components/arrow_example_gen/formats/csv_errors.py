"""Finds the line of a CSV file at which reading failed, by reading the file again."""

import csv
import io
import sys
import zlib
from collections.abc import Iterator

from custom_components.arrow_example_gen.formats.files import CHUNK_BYTES, GZIP, GZIP_ERRORS, open_file, open_raw


def ragged_row(path: str, columns: int) -> tuple[int, int] | None:
    """The line of the first row that does not have ``columns`` values, and how many it has."""
    return next(((line, found) for line, found in _rows(path) if found != columns), None)


def last_row(path: str) -> int:
    """The line at which the last row starts."""
    return max((line for line, _ in _rows(path)), default=1)


def _rows(path: str) -> Iterator[tuple[int, int]]:
    """Yields the line at which each row starts, and the number of its values."""
    # Latin-1 accepts any byte: encoding errors are reported elsewhere.
    with open_file(path) as file, io.TextIOWrapper(file, encoding="latin-1", newline="") as text:
        limit = csv.field_size_limit(sys.maxsize)
        try:
            reader = csv.reader(text)
            line = 1
            for cells in reader:
                if cells:
                    yield line, len(cells)
                line = reader.line_num + 1
        finally:
            csv.field_size_limit(limit)


def long_row(path: str, max_bytes: int) -> int:
    """The line of the first row that has more than ``max_bytes``, or an unclosed quote."""
    start, size, in_quotes = 1, 0, False
    with open_file(path) as file:
        for number, line in enumerate(file, start=1):
            size += len(line)
            in_quotes ^= line.count(b'"') % 2 == 1
            if size > max_bytes:
                return start
            if not in_quotes:
                start, size = number + 1, 0
    return start


def invalid_utf8(path: str) -> str:
    """Describes the first byte that is not UTF-8."""
    with open_file(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}: byte {line[error.start]:#04x} is not UTF-8"
    return "not UTF-8"


def complete_lines(path: str) -> int:
    """Number of complete lines in a gzipped file, up to where it can be decompressed."""
    assert path.endswith(GZIP)
    lines = 0
    with open_raw(path) as file:
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            while chunk := file.read(CHUNK_BYTES) or unzip.unused_data:
                if unzip.eof:  # end of a member, which another one may follow
                    chunk, unzip = unzip.unused_data + chunk, zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
                lines += unzip.decompress(chunk).count(b"\n")
        except GZIP_ERRORS:
            pass
    return lines
