"""Opens the files of a table, and says in one line what is wrong with them."""

import gzip
import io
import os
import zlib
from collections.abc import Callable
from typing import IO

GZIP = ".gz"
CHUNK_BYTES = 1 << 20
# Of a batch of rows, which are held as tf.Examples at once.
BATCH_ROWS = 1 << 14
BATCH_BYTES = 16 << 20
# What Python raises for a gzip file that is cut off, or is none.
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class TableError(ValueError):
    """A file that is not of the table; the message is one line, with the file and the place in it."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


def open_file(path: str) -> IO[bytes]:
    """Opens a file to be read, unzipped if its name says that it is gzipped.

    Raises:
        TableError: It cannot be opened.
    """
    file = open_as_it_is(path)
    return io.BufferedReader(gzip.GzipFile(fileobj=file)) if path.endswith(GZIP) else file


def open_as_it_is(path: str) -> IO[bytes]:
    """Opens a file to be read, gzipped or not.

    Raises:
        TableError: It cannot be opened.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # to open a pipe would wait for who writes to it
        raise TableError(f"{path}: found no regular file; expected a file that can be read")
    try:
        return _beam_open()(path) if "://" in path else open(path, "rb")
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}; expected a file that can be read") from error


def name_of(path: str) -> str:
    """A file's name, as messages about two files show the other one."""
    return os.path.basename(path)


def broken_gzip(path: str, rows: int, what: str) -> TableError:
    """The error for a gzip file that ends early or is none.

    Args:
        path: The file.
        rows: Whole rows, lines or records before the place.
        what: What they are called.
    """
    try:
        with open_as_it_is(path) as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
    except OSError:
        is_gzip = True
    if not is_gzip:
        return TableError(f"{path}: its name ends in {GZIP}, and it is not gzipped; expected a gzip file")
    return TableError(f"{path}: behind {what} {rows}: the gzip stream is cut off or damaged; expected a whole file")


def _beam_open() -> Callable[[str], IO[bytes]]:
    # Takes seconds to import, and serves remote folders alone.
    from apache_beam.io.filesystem import CompressionTypes  # noqa: PLC0415
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415

    return lambda path: FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
