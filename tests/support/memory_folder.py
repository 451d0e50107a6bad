"""A place for files that are written and read many times, such as ML Metadata's in SQLite, which syncs each commit."""

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
MIN_BYTES = 512 * 2**20  # containers may have only 64 MB


def memory_folder() -> str:
    """Returns a folder in memory if there is one with enough space, or else the folder for temporary files."""
    if os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= MIN_BYTES:
        return str(SHARED_MEMORY)
    return tempfile.gettempdir()
