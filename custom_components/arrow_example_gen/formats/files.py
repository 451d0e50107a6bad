"""Opens the files of a table, and reports errors in one line."""

import gzip
import io
import os
import zlib
from collections.abc import Callable
from typing import IO

GZIP = ".gz"
CHUNK_BYTES = 1 << 20
# Limits of a batch of rows, which is in memory as tf.Examples.
BATCH_ROWS = 1 << 14
BATCH_BYTES = 16 << 20
# Errors of Python for a truncated or invalid gzip file.
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class TableError(ValueError):
    """An error in a table's file. The message is one line, with the file and the position in it."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


def open_file(path: str) -> IO[bytes]:
    """Opens a file for reading, and decompresses it if its extension is ``.gz``.

    Raises:
        TableError: It cannot be opened.
    """
    file = open_raw(path)
    return io.BufferedReader(gzip.GzipFile(fileobj=file)) if path.endswith(GZIP) else file


def open_raw(path: str) -> IO[bytes]:
    """Opens a file for reading, without decompression.

    Raises:
        TableError: It cannot be opened.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would block until it is written to
        raise TableError(f"{path}: found a special file; expected a regular, readable file")
    try:
        return _beam_open()(path) if "://" in path else open(path, "rb")
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}; expected a readable file") from error


def name_of(path: str) -> str:
    """The name of a file, for the second file in an error about two."""
    return os.path.basename(path)


def broken_gzip(path: str, count: int, unit: str) -> TableError:
    """The error for a truncated or invalid gzip file.

    Args:
        path: The file.
        count: Number of complete lines or records before the error.
        unit: ``line`` or ``record``.
    """
    try:
        with open_raw(path) as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
    except OSError:
        is_gzip = True
    if not is_gzip:
        return TableError(f"{path}: the extension is {GZIP}, but the file is not gzipped; expected a gzip file")
    return TableError(f"{path}: after {unit} {count}: the gzip stream is truncated or damaged; expected a valid file")


def _beam_open() -> Callable[[str], IO[bytes]]:
    # Takes seconds to import, and is only needed for remote folders.
    from apache_beam.io.filesystem import CompressionTypes  # noqa: PLC0415
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415

    return lambda path: FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
