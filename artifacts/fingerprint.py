"""The fingerprint of a table: a digest of the content of its files, in the order of their paths."""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import IO

_CHUNK_BYTES = 1 << 20
_FINGERPRINT = re.compile(r"files:(\d+),bytes:(\d+),sha256:([0-9a-f]{64})")
_TFX_FINGERPRINT = re.compile(r"num_files:(\d+),total_bytes:(\d+),xor_checksum:(\d+),sum_checksum:(\d+)")


@dataclasses.dataclass(frozen=True)
class FileDigest:
    """Digest of a file's content.

    Attributes:
        size: Size in bytes.
        digest: SHA-256, in hexadecimal, or for a remote file the checksum that its file system keeps.
    """

    size: int
    digest: str


class ContentDigest:
    """SHA-256 of a file's content, updated as the file is read from start to end."""

    def __init__(self) -> None:
        self._hash, self._size = hashlib.sha256(), 0

    def update(self, content: bytes | memoryview) -> None:
        """Adds the next bytes of the file."""
        self._hash.update(content)
        self._size += len(content)

    def update_from(self, file: IO[bytes]) -> None:
        """Adds the rest of an open file."""
        while chunk := file.read(_CHUNK_BYTES):
            self.update(chunk)

    def result(self) -> FileDigest:
        """Returns the digest of the bytes so far."""
        return FileDigest(self._size, self._hash.hexdigest())


def fingerprint(digests: Iterable[FileDigest], test: Sequence[FileDigest] = ()) -> str:
    """The fingerprint of files. Their names and modification times do not matter, but their order does.

    Args:
        digests: Digests of the files of the table.
        test: Digests of the files of its test table.

    >>> fingerprint([FileDigest(3, "ab"), FileDigest(4, "cd")])[:24]
    'files:2,bytes:7,sha256:3'
    """
    found = list(digests)
    lines = [*map(_line, found), *(["test\n", *map(_line, test)] if test else [])]
    combined = hashlib.sha256("".join(lines).encode())
    every = [*found, *test]
    return f"files:{len(every)},bytes:{sum(each.size for each in every)},sha256:{combined.hexdigest()}"


def is_fingerprint(text: str) -> bool:
    """Returns whether a text is a fingerprint of this module, not one that TFX made."""
    return _FINGERPRINT.fullmatch(text) is not None


def file_digest(path: str) -> FileDigest:
    """Reads a local file and returns its digest."""
    digest = ContentDigest()
    with open(path, "rb", buffering=0) as file:
        digest.update_from(file)
    return digest.result()


def matches_fingerprint(files: Sequence[str], text: str, test: Sequence[str] = ()) -> bool | None:
    """Compares local files with a fingerprint. Files are only read if their number and size are the same.

    Earlier runs recorded TFX's fingerprint: the number, sizes and modification times of the files. TFX sums and XORs
    the times in whole seconds. See ``tfx.utils.io_utils.generate_fingerprint``.

    Args:
        files: Paths of the files, sorted.
        text: The fingerprint.
        test: Paths of the files of the test table, sorted.

    Returns:
        ``None`` if the fingerprint is of another kind.
    """
    if content := _FINGERPRINT.fullmatch(text):
        every = [*files, *test]
        sizes = [os.stat(path).st_size for path in every]
        if not all(map(os.path.isfile, every)) or (len(every), sum(sizes)) != (int(content[1]), int(content[2])):
            return False
        return fingerprint(map(file_digest, files), list(map(file_digest, test))) == text
    found = _TFX_FINGERPRINT.findall(text)
    if len(found) != 1:
        return None
    xor = total = size = 0
    for path in files:
        status = os.stat(path)
        seconds = int(status.st_mtime_ns / 1_000_000_000)
        xor, total, size = xor ^ seconds, total + seconds, size + status.st_size
    return tuple(map(int, found[0])) == (len(files), size, xor, total)


def _line(digest: FileDigest) -> str:
    return f"{digest.size}:{digest.digest}\n"
