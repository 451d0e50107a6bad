"""Checks the pages of a Parquet file before they are decoded: Arrow decompresses a complete page, of up to 2 GiB.

A page starts with a ``PageHeader`` in Thrift's compact protocol. See ``parquet.thrift`` in
https://github.com/apache/parquet-format and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

import os
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple, TypeAlias

import pyarrow.parquet as pq

from custom_components.arrow_example_gen.formats.files import BOMB_BYTES, BOMB_RATIO, TableError

MAX_LIST_VALUES = 1 << 25  # of a page of lists: 256 MiB of numbers
HEADER_BYTES, MAX_HEADER_BYTES = 1 << 10, 1 << 24  # what is read for a header at first, and at most
# Fields of a PageHeader, and of each of its structs that describes the values of a page.
TYPE, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 1, 2, 3, 5, 7, 8
NUM_VALUES = 1
# Types of Thrift's compact protocol. A page header has no lists, sets and maps.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY = range(1, 9)
STRUCT = 12
SKIPPED = {TRUE: 0, FALSE: 0, BYTE: 1, DOUBLE: 8}  # sizes of values that are not needed
MAX_DEPTH = 8

Fields: TypeAlias = dict[int, Any]  # integers and structs by number; other fields are skipped


class Page(NamedTuple):
    """What the header of a page says.

    Attributes:
        size: Size of the page in bytes once it is decompressed.
        stored: Its size in the file.
        values: Number of values.
        is_data: Whether they are values of rows, and not of a dictionary.
    """

    size: int
    stored: int
    values: int
    is_data: bool


def check_pages(path: str, file: IO[bytes], metadata: pq.FileMetaData) -> int:
    """Checks the sizes of all pages, without decoding them.

    Args:
        path: The file, for errors.
        file: The open file. Its position changes.
        metadata: The file's own.

    Returns:
        The size of the largest page in bytes, once it is decompressed.

    Raises:
        TableError: A page would decode to far more than a table's, or its header is damaged.
    """
    largest, end = 0, file.seek(0, os.SEEK_END)
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            location = f"{path}: row group {group + 1}: column '{column.path_in_schema}'"
            has_lists = metadata.schema.column(index).max_repetition_level > 0
            for page in _pages(location, file, end, column):
                if page.size > max(BOMB_BYTES, BOMB_RATIO * page.stored):
                    raise TableError(
                        f"{location}: found {page.size} bytes in a page of {page.stored} bytes; expected at most "
                        f"{BOMB_RATIO} times as many: write smaller row groups"
                    )
                if has_lists and page.is_data and page.values > MAX_LIST_VALUES:
                    raise TableError(
                        f"{location}: found {page.values} values of lists in a page; expected at most "
                        f"{MAX_LIST_VALUES}: write smaller pages"
                    )
                largest = max(largest, page.size)
    return largest


def _pages(location: str, file: IO[bytes], end: int, column: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """Yields the pages of a column chunk of a file of ``end`` bytes. Raises like :func:`check_pages`."""
    starts = (column.data_page_offset, column.dictionary_page_offset if column.has_dictionary_page else None)
    position, left = min(start for start in starts if start is not None), column.num_values
    while left > 0:
        try:
            page, header_bytes = _read_header(file, position)
            if min(page.size, page.stored, page.values) < 0 or position + header_bytes + page.stored > end:
                raise ValueError("a number of the header is impossible")
        except (ValueError, LookupError, TypeError) as error:
            raise TableError(f"{location}: the page at byte {position} is damaged; expected a valid file") from error
        yield page
        position += header_bytes + page.stored
        left -= page.values if page.is_data else 0


def _read_header(file: IO[bytes], position: int) -> tuple[Page, int]:
    """Returns the page at a position in the file, and the length of its header.

    Raises:
        ValueError: The header is damaged.
        LookupError: It is incomplete, or lacks a field.
        TypeError: A field has another type.
    """
    size = HEADER_BYTES
    while True:
        file.seek(position)
        content = file.read(size)
        try:
            fields, end = _read_struct(content, 0, 0)
            break
        except IndexError:  # statistics may be long
            if len(content) < size or size >= MAX_HEADER_BYTES:
                raise
            size *= 4
    data = fields.get(DATA_PAGE) or fields.get(DATA_PAGE_V2)
    values = (data or fields.get(DICTIONARY_PAGE) or {NUM_VALUES: 0})[NUM_VALUES]
    return Page(fields[UNCOMPRESSED_BYTES], fields[COMPRESSED_BYTES], values, data is not None), end


def _read_struct(content: bytes, position: int, depth: int) -> tuple[Fields, int]:
    """Reads a struct, and returns its fields and the position after it. Raises like :func:`_read_header`."""
    if depth > MAX_DEPTH:
        raise ValueError("found more structs in structs than a header has")
    fields: Fields = {}
    number = 0
    while header := content[position]:
        position += 1
        if delta := header >> 4:
            number += delta
        else:
            number, position = _read_integer(content, position)
        value, position = _read_value(content, position, header & 0x0F, depth)
        if value is not None:
            fields[number] = value
    return fields, position + 1


def _read_value(content: bytes, position: int, kind: int, depth: int) -> tuple[int | Mapping[int, Any] | None, int]:
    """Reads an integer or a struct, or skips a value of another type. Raises like :func:`_read_header`."""
    if kind in SKIPPED:
        return None, position + SKIPPED[kind]
    if kind in (I16, I32, I64):
        return _read_integer(content, position)
    if kind == BINARY:
        length, position = _read_varint(content, position)
        return None, position + length
    if kind == STRUCT:
        return _read_struct(content, position, depth + 1)
    raise ValueError(f"found a field of type {kind}, which a header does not have")


def _read_integer(content: bytes, position: int) -> tuple[int, int]:
    """Reads a signed integer: zigzag as a varint."""
    number, position = _read_varint(content, position)
    return number >> 1 ^ -(number & 1), position


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("found an integer of more than 64 bits")
