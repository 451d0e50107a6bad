"""Finds the line of a CSV file that a reader stumbled over, by reading the file again."""

import csv
import io
import sys
import zlib
from collections.abc import Iterator

from custom_components.arrow_example_gen.files import CHUNK_BYTES, GZIP, GZIP_ERRORS, open_as_it_is, open_file


def ragged(path: str, columns: int) -> tuple[int, int] | None:
    """The line on which the first row begins that has not ``columns`` values, and how many it has."""
    return next(((line, found) for line, found in _rows(path) if found != columns), None)


def last_row(path: str) -> int:
    """The line on which the last row begins."""
    return max((line for line, _ in _rows(path)), default=1)


def _rows(path: str) -> Iterator[tuple[int, int]]:
    """Yields the line on which each row begins, and how many values it has."""
    # Any byte is a letter in Latin-1: what else is wrong with the text is told elsewhere.
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


def long_row(path: str, most_bytes: int) -> int:
    """The line on which the first row begins that has more than ``most_bytes``, or whose quote is never closed."""
    begin, size, in_quotes = 1, 0, False
    with open_file(path) as file:
        for number, line in enumerate(file, start=1):
            size += len(line)
            in_quotes ^= line.count(b'"') % 2 == 1
            if size > most_bytes:
                return begin
            if not in_quotes:
                begin, size = number + 1, 0
    return begin


def not_utf8(path: str) -> str:
    """Where the first byte stands that is no UTF-8."""
    with open_file(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}: byte {line[error.start]:#04x} is not UTF-8"
    return "not UTF-8"


def whole_lines(path: str) -> int:
    """Lines of a gzipped file that are there to their ends, as far as it can be unzipped."""
    assert path.endswith(GZIP)
    lines = 0
    with open_as_it_is(path) as file:
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            while chunk := file.read(CHUNK_BYTES) or unzip.unused_data:
                if unzip.eof:  # a member ends; another one may follow
                    chunk, unzip = unzip.unused_data + chunk, zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
                lines += unzip.decompress(chunk).count(b"\n")
        except GZIP_ERRORS:
            pass
    return lines
