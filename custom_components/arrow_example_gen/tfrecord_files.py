"""Streams the records of a TFRecord file.

A record is its length in eight bytes, a checksum of these in four, its content, and a checksum of it in four, as
https://www.tensorflow.org/tutorials/load_data/tfrecord has it. Read here, and not by TensorFlow, so that a run's checks
need not import it, and errors can name the record.
"""

import struct
from collections.abc import Iterator

import google_crc32c

from custom_components.arrow_example_gen.files import (
    BATCH_BYTES,
    BATCH_ROWS,
    GZIP,
    GZIP_ERRORS,
    TableError,
    broken_gzip,
    open_file,
)

MOST_BYTES = 2**31 - 1  # of a message of protobuf's
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CHECKSUM.size


def read_columns(_path: str) -> None:
    """None: each record names its own."""


def check_columns(_path: str, _columns: None, _first: str) -> None:
    """Checks nothing."""


def read_rows(path: str, _columns: None) -> Iterator[list[bytes]]:
    """Yields a file's records, as many at once as a few megabytes hold.

    Raises:
        TableError: The file is cut off, or a record is not what its checksum says.
    """
    batch: list[bytes] = []
    size = 0
    for record in _records(path):
        batch.append(record)
        size += len(record)
        if size >= BATCH_BYTES or len(batch) == BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _records(path: str) -> Iterator[bytes]:
    number = 0
    try:
        with open_file(path) as file:
            while header := file.read(_HEADER_BYTES):
                number += 1
                place = f"{path}: record {number}"
                if len(header) < _HEADER_BYTES:
                    raise TableError(f"{place}: the file ends in it; expected a whole TFRecord file")
                length = header[: _LENGTH.size]
                [size] = _LENGTH.unpack(length)
                if header[_LENGTH.size :] != _masked_checksum(length) or size > MOST_BYTES:
                    raise TableError(f"{place}: its length is not what its checksum says; expected {_expected(path)}")
                content = file.read(size + _CHECKSUM.size)
                if len(content) < size + _CHECKSUM.size:
                    raise TableError(f"{place}: the file ends in it; expected a whole TFRecord file")
                record = content[:size]
                if content[size:] != _masked_checksum(record):
                    raise TableError(f"{place}: it is not what its checksum says; expected a whole TFRecord file")
                yield record
    except GZIP_ERRORS as error:
        raise broken_gzip(path, max(number - 1, 0), "record") from error


def _masked_checksum(content: bytes) -> bytes:
    checksum = google_crc32c.value(content)
    return _CHECKSUM.pack(((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _expected(path: str) -> str:
    return "a TFRecord file" if path.endswith(GZIP) else f"a TFRecord file, whose name ends in {GZIP} if it is gzipped"
