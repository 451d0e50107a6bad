"""Reads text files that a user names, without reading more than such a file has."""

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 64 << 20


def read_small_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Reads a UTF-8 file.

    Args:
        path: The file.
        max_bytes: Maximum size.

    Raises:
        OSError: It cannot be read, is not a regular file, or is too large. ``/dev/zero`` would never end, and opening a
            pipe would wait for a writer.
        UnicodeDecodeError: It is not UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"Larger than {max_bytes >> 20} MiB", str(path))
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:  # such as a file in /proc, which has no size
        raise OSError(errno.EFBIG, f"Larger than {max_bytes >> 20} MiB", os.fspath(path))
    return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
