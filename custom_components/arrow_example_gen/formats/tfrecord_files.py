"""Reads the records of a TFRecord file.

A record has its length in 8 bytes, their checksum in 4 bytes, the content, and its checksum in 4 bytes. See
https://www.tensorflow.org/tutorials/load_data/tfrecord. This module does not use TensorFlow, so that the checks before
a run do not have to import it, and so that errors can name the record.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence

import google_crc32c

from artifacts.fingerprint import ContentDigest
from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.files import (
    BATCH_BYTES,
    BATCH_ROWS,
    GZIP,
    GZIP_ERRORS,
    MAX_ROW_BYTES,
    TableError,
    broken_gzip,
    open_file,
)

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CHECKSUM.size


def read_columns(_path: str, _schema_types: Mapping[str, str] | None = None, _dialect: Dialect = COMMAS) -> None:
    """Returns ``None``: each record lists its own features."""


def column_notes(_path: str, _dialect: Dialect = COMMAS) -> list[str]:
    """Returns nothing: all features have a name and a type."""
    return []


def check_columns(
    _path: str,
    _columns: None,
    _first: str,
    _schema_types: Mapping[str, str] | None = None,
    _dialect: Dialect = COMMAS,
) -> None:
    """Returns ``None``: there is nothing to check."""


def read_rows(
    path: str,
    _columns: None,
    digest: ContentDigest | None = None,
    _dialect: Dialect = COMMAS,
    _only: Sequence[str] = (),
) -> Iterator[list[bytes]]:
    """Yields the records of a file in batches of a few megabytes. They are always complete.

    Raises:
        TableError: The file is truncated, a checksum does not match, or a record is too long.
    """
    batch: list[bytes] = []
    size = 0
    for record in _records(path, digest):
        batch.append(record)
        size += len(record)
        if size >= BATCH_BYTES or len(batch) == BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _records(path: str, digest: ContentDigest | None) -> Iterator[bytes]:
    number = 0
    try:
        with open_file(path, digest) as file:
            while header := file.read(_HEADER_BYTES):
                number += 1
                location = f"{path}: record {number}"
                if len(header) < _HEADER_BYTES:
                    raise TableError(f"{location}: the file ends within the record; expected a complete TFRecord file")
                length = header[: _LENGTH.size]
                [size] = _LENGTH.unpack(length)
                if header[_LENGTH.size :] != _masked_checksum(length):
                    raise TableError(f"{location}: the length does not match its checksum; expected {_expected(path)}")
                if size > MAX_ROW_BYTES:
                    raise TableError(f"{location}: found {size} bytes; expected at most {MAX_ROW_BYTES >> 20} MiB")
                content = file.read(size + _CHECKSUM.size)
                if len(content) < size + _CHECKSUM.size:
                    raise TableError(f"{location}: the file ends within the record; expected a complete TFRecord file")
                record = content[:size]
                if content[size:] != _masked_checksum(record):
                    raise TableError(
                        f"{location}: the content does not match its checksum; expected a complete TFRecord file"
                    )
                yield record
    except GZIP_ERRORS as error:
        raise broken_gzip(path, max(number - 1, 0), "record") from error


def _masked_checksum(content: bytes) -> bytes:
    checksum = google_crc32c.value(content)
    return _CHECKSUM.pack(((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _expected(path: str) -> str:
    return "a TFRecord file" if path.endswith(GZIP) else f"a TFRecord file, with the extension {GZIP} if it is gzipped"
