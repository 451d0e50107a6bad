"""Finds the delimiter and the encoding of a CSV file, if they can be determined with certainty."""

import codecs
import csv
import io
import itertools

from custom_components.arrow_example_gen.formats.csv_errors import LongLineError, bounded_lines
from custom_components.arrow_example_gen.formats.csv_files import BLOCK_BYTES
from custom_components.arrow_example_gen.formats.dialect import DELIMITERS, UTF8, Dialect, shown_delimiter
from custom_components.arrow_example_gen.formats.files import CHUNK_BYTES, open_file
from custom_components.arrow_example_gen.formats.text_files import open_text
from pipeline.drafting.errors import DraftError

ROWS = 1_000  # that are read to find the delimiter
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ZIP, EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


def find_dialect(path: str, delimiter: str | None = None, encoding: str | None = None) -> Dialect:
    """Finds the dialect of a file. What is given is not looked for.

    Raises:
        DraftError: It cannot be determined for sure. The message names the option that gives it.
        TableError: The file cannot be read.
    """
    encoding = encoding or find_encoding(path)
    return Dialect(delimiter or find_delimiter(path, encoding), encoding)


def find_encoding(path: str) -> str:
    """The encoding that a byte-order mark names, or UTF-8 if the complete file is valid UTF-8.

    Raises:
        DraftError: The file has neither.
    """
    decoder, line = codecs.getincrementaldecoder(UTF8)(), 1
    with open_file(path) as file:
        chunk = file.read(CHUNK_BYTES)
        if chunk.startswith((ZIP, EXCEL)):
            raise DraftError(f"{path}: found a spreadsheet or a zip file; expected text: save the table as CSV")
        if found := next((name for mark, name in MARKS.items() if chunk.startswith(mark)), None):
            return found
        if b"\0" in chunk[:4]:
            guess = "utf-16-be" if chunk[:1] == b"\0" else "utf-16-le"
            raise DraftError(f"{path}: found zero bytes; expected text: if it is UTF-16, give --encoding {guess}")
        while True:
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise DraftError(
                    f"{path}: line {line}: byte {error.object[error.start]:#04x} is not UTF-8; give its encoding, such "
                    "as --encoding cp1252 for a file that Windows wrote in Western Europe"
                ) from error
            if not chunk:
                return UTF8
            chunk = file.read(CHUNK_BYTES)


def find_delimiter(path: str, encoding: str) -> str:
    """The delimiter that divides the first rows into the same number of cells, and into more than one.

    A file without such a delimiter has one column, or is read with commas, so that the reader says what is wrong.

    Raises:
        DraftError: Several delimiters do.
    """
    found = {each: columns for each in (*DELIMITERS, " ") if (columns := _columns(path, encoding, each)) > 1}
    if not found:  # such as a file with a quote that is not closed: the reader says where
        found = {each: columns for each in DELIMITERS if (columns := _columns(path, encoding, each, rows=1)) > 1}
    if len(found) > 1:
        found.pop(" ", None)  # of the texts in the cells
    if not found:
        return ","
    most = max(found.values())
    best = [each for each, columns in found.items() if columns == most]
    if len(best) > 1:
        names = " or ".join(map(shown_delimiter, best))
        raise DraftError(f"{path}: {names} can separate the columns; give one of them with --delimiter")
    return best[0]


def _columns(path: str, encoding: str, delimiter: str, rows: int = ROWS) -> int:
    """The number of cells in each of the first rows, or 0 if it differs."""
    with open_text(path, encoding) as file, io.TextIOWrapper(file, encoding=UTF8, newline="") as text:
        limit = csv.field_size_limit(BLOCK_BYTES)
        try:
            lines = csv.reader(bounded_lines(text, BLOCK_BYTES), delimiter=delimiter)
            counts = {len(cells) for cells in itertools.islice(lines, rows) if cells}
        except (csv.Error, LongLineError):
            return 0
        finally:
            csv.field_size_limit(limit)
    return counts.pop() if len(counts) == 1 else 0
