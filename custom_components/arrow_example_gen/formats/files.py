"""Opens the files of a table, computes their digests, and reports errors in one line."""

import gzip
import io
import os
import zlib
from typing import IO, Any

from artifacts.fingerprint import ContentDigest, FileDigest, file_digest
from common.remote_paths import is_remote

GZIP = ".gz"
CHUNK_BYTES = 1 << 20
# Limits of a batch of rows, which is in memory as tf.Examples.
BATCH_ROWS = 1 << 14
BATCH_BYTES = 16 << 20
MAX_ROW_BYTES = 64 << 20  # of a row or a record that is read into memory
# A gzip file that unzips to more than this, and to more than so many times its size, holds no table. Deflate's maximum
# is about 1,030 times. Repetitive tables reach about 100 times.
BOMB_BYTES, BOMB_RATIO = 64 << 20, 500
SHOWN_CHARACTERS = 60  # of a value in an error
# Errors of Python for a truncated or invalid gzip file.
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class TableError(ValueError):
    """An error in a table's file. The message is one line, with the file and the position in it."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


def open_file(path: str, digest: ContentDigest | None = None) -> IO[bytes]:
    """Opens a file for reading, and decompresses it if its extension is ``.gz``.

    Args:
        path: The file.
        digest: Updated with the bytes of the file, before they are decompressed, as they are read. Not updated for a
            remote file.

    Raises:
        TableError: It cannot be opened.
    """
    file = open_raw(path, digest)
    return io.BufferedReader(_Unzipped(path, file), CHUNK_BYTES) if path.endswith(GZIP) else file


def open_raw(path: str, digest: ContentDigest | None = None) -> IO[bytes]:
    """Opens a file for reading, without decompression. Like :func:`open_file`."""
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would block until it is written to
        raise TableError(f"{path}: found a special file; expected a regular, readable file")
    try:
        if is_remote(path):
            return _beam_open(path)
        if digest is None:
            return open(path, "rb")
        return io.BufferedReader(_Digested(open(path, "rb", buffering=0), digest), CHUNK_BYTES)
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}; expected a readable file") from error


def digest_of(path: str) -> FileDigest:
    """The digest of a file: of its content, or for a remote file the checksum that its file system keeps.

    Raises:
        TableError: The file cannot be read, or its file system keeps no checksum.
    """
    try:
        return _remote_digest(path) if is_remote(path) else file_digest(path)
    except (OSError, NotImplementedError) as error:
        raise TableError(f"{path}: {getattr(error, 'strerror', None) or error}; expected a readable file") from error


def shown(value: str | bytes) -> str:
    """A value of a table for an error: quoted, cut, and without control characters."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


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


class _Digested(io.RawIOBase):
    """A file whose digest is updated as it is read."""

    def __init__(self, file: io.RawIOBase | io.FileIO, digest: ContentDigest) -> None:
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Unzipped(io.RawIOBase):
    """The content of a gzip file. Stops at a file that would unzip to far more than a table."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self._path, self._file, self._size = path, file, 0
        self._unzipped = gzip.GzipFile(fileobj=file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._unzipped.readinto(buffer)
        self._size += count
        if self._size > BOMB_BYTES and self._size > BOMB_RATIO * self._file.tell():
            raise TableError(
                f"{self._path}: found more than {self._size >> 20} MiB in the first {self._file.tell()} bytes of the "
                f"gzip file; expected a table, which is at most {BOMB_RATIO} times as large unzipped"
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _beam_open(path: str) -> IO[bytes]:
    # Takes seconds to import, and is only needed for remote folders.
    from apache_beam.io.filesystem import CompressionTypes  # noqa: PLC0415
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415

    file: IO[bytes] = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


def _remote_digest(path: str) -> FileDigest:
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415

    [match] = FileSystems.match([path])
    [metadata] = match.metadata_list
    return FileDigest(metadata.size_in_bytes, str(FileSystems.checksum(path)))
