"""A push into folders of a file system, where a rename makes all of a version appear at once."""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

STAGING_PREFIX = ".pushing-"  # TensorFlow Serving ignores names that are no numbers

# Fills a new folder with the version of that number.
Writer: TypeAlias = Callable[[Path, int], None]


def push_to_folders(writers: Mapping[Path, Writer]) -> int:
    """Makes a new version under each base directory, and returns its number; one push after the other.

    Args:
        writers: By base directory, what fills the version's folder. Versions appear in this order; a process that is
            killed between two leaves the first one alone.

    Raises:
        OSError: One cannot be written; then no version is left behind. So it is for whatever a writer raises.
    """
    for base in writers:
        base.mkdir(parents=True, exist_ok=True)
    with _locked(writers):
        return _push(writers)


def _push(writers: Mapping[Path, Writer]) -> int:
    versions = [int(time.time())]
    for base_directory in writers:
        for left_over in base_directory.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(left_over)
        versions += [int(path.name) + 1 for path in base_directory.iterdir() if path.name.isdigit()]
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
    """Waits until no other process of this machine pushes there; a lock goes with its process, however it ends."""
    with contextlib.ExitStack() as held:
        for folder in sorted(folders):  # in one order, so that no two wait for each other
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            with contextlib.suppress(OSError):  # network file systems may lock no folders: there one push at a time
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
