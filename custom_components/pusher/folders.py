"""Pushes into folders of a file system, where a rename makes a complete version appear at once."""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from artifacts.nodes.push import is_version

STAGING_PREFIX = ".pushing-"  # TensorFlow Serving ignores names that are not numbers

# Writes the files of a version into a new folder.
Writer: TypeAlias = Callable[[Path, int], None]


def push_to_folders(writers: Mapping[Path, Writer]) -> int:
    """Creates a new version in each base directory, and returns its number. Only one push runs at a time.

    Args:
        writers: By base directory, the function that writes the version. The versions appear in this order. If the
            process is killed between two of them, only the first exists.

    Raises:
        OSError: A file cannot be written. No version is left behind after any error.
    """
    for base in writers:
        base.mkdir(parents=True, exist_ok=True)
    with _locked(writers):
        return _push(writers)


def _push(writers: Mapping[Path, Writer]) -> int:
    versions = [int(time.time())]
    for base_directory in writers:
        for abandoned in base_directory.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(abandoned)
        versions += [int(path.name) + 1 for path in base_directory.iterdir() if is_version(path.name)]
    version = max(versions)
    staged = {base: (base / f"{STAGING_PREFIX}{version}", base / str(version)) for base in writers}
    try:
        for base, (staging, _) in staged.items():
            staging.mkdir()
            writers[base](staging, version)
        for staging, final in staged.values():
            os.rename(staging, final)
    except BaseException:
        for staging, final in staged.values():
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(final, ignore_errors=True)
        raise
    return version


@contextlib.contextmanager
def _locked(folders: Iterable[Path]) -> Iterator[None]:
    """Locks the folders against pushes of other local processes. A lock is released when its process ends."""
    with contextlib.ExitStack() as stack:
        for folder in sorted(folders):  # sorted, to avoid deadlocks
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            with contextlib.suppress(OSError):  # some network file systems cannot lock folders
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
