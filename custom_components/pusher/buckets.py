"""A push into buckets, where single objects appear at once, and folders do not.

TensorFlow Serving takes any number below its base path for a version, and tries to load it; a version without
``saved_model.pb`` fails to load, is tried again (``--max_num_load_retries``, once a minute), and the one before it
answers meanwhile. So all bytes go to the bucket under a name that a reader ignores. Then each object gets its own name,
which copies nothing through this machine, and the one by which a reader knows a version comes last: a version is
incomplete for as long as some renames take, and not for an upload.

Nothing locks a bucket. So the folder that a push uploads to is also its claim to the version's number: of two pushes at
once that claim one, whoever sees the other's claim gives way. What is older than any push goes with the next one.
"""

import contextlib
import random
import re
import secrets
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf

from artifacts.names import SAVED_MODEL_FILE, TFLITE_FILE
from custom_components.pusher.folders import STAGING_PREFIX, Writer
from serving.edge import MANIFEST_FILE

gfile = tf.io.gfile

# A reader takes a version for whole by the last of these.
LAST = (TFLITE_FILE, MANIFEST_FILE, SAVED_MODEL_FILE)
STALE_SECONDS = 12 * 3600  # after which a push is taken for one that was killed; it gives up by itself after half of it
MOST_CLAIMS, LONGEST_WAIT = 30, 2.0  # of a number; seconds between two
# Of the version's number and when the push began, in seconds, and what no other push has.
_STAGING = re.compile(re.escape(STAGING_PREFIX) + r"(?P<version>\d+)-(?P<start>\d+)-[0-9a-f]+")


def push_to_buckets(writers: Mapping[str, Writer]) -> int:
    """Makes a new version under each base directory, and returns its number.

    Pushes at once get different numbers, and leave each other alone. What a push that was killed has left is removed by
    the first that begins :data:`STALE_SECONDS` later, a version of its number that is whole in one place alone, too.

    Args:
        writers: By base directory, in any file system that TensorFlow knows, what fills a folder here with the
            version. The last objects of all versions appear one right after the other, in this order; a process that
            is killed between two leaves the first version alone.

    Raises:
        tf.errors.OpError: One cannot be written; then no version is left behind. So it is for whatever a writer raises.
        RuntimeError: Others take every number first, or it takes so long that another push may clear it away.
    """
    bases = list(writers)
    for base in bases:
        gfile.makedirs(base)
    _clear(bases)
    version, staging = _claim(bases)
    try:
        objects = [each for base, write in writers.items() for each in _upload(base, write, version, staging)]
        _check_time(staging)
        for base, name in sorted(objects, key=lambda each: _place(each[1])):
            final = f"{base}/{version}/{name}"
            gfile.makedirs(final.rpartition("/")[0])
            gfile.rename(f"{base}/{staging}/{name}", final)
    except BaseException:
        _remove(bases, version, staging)
        raise
    for base in bases:
        with contextlib.suppress(tf.errors.OpError):  # the model is pushed; a later push comes back here
            _remove_folder(f"{base}/{staging}")
    return version


def _claim(bases: list[str]) -> tuple[int, str]:
    """Takes a number that no other push has; returns it and the name of the folder to upload to.

    What is made is listed from then on, so of two that claim one number at least one sees the other. Whoever does gives
    way, even if both do, and tries again a little later.

    Raises:
        RuntimeError: There is another claim each time.
    """
    for _ in range(MOST_CLAIMS):
        now = int(time.time())
        version = max([now, *(taken + 1 for base in bases for taken in _versions(base))])
        staging = f"{STAGING_PREFIX}{version}-{now}-{secrets.token_hex(4)}"
        for base in bases:
            gfile.makedirs(f"{base}/{staging}")
        if all(_versions(base).count(version) == 1 for base in bases):
            return version, staging
        for base in bases:
            _remove_folder(f"{base}/{staging}")
        time.sleep(random.uniform(0, LONGEST_WAIT))  # noqa: S311 - nothing secret
    raise RuntimeError(
        f"{bases[0]}: found {MOST_CLAIMS} numbers in a row that other pushes were taking; expected fewer at once: push "
        "again when they are over"
    )


def _check_time(staging: str) -> None:
    """Refuses to name anything once another push might soon take this one for a killed one."""
    taken = time.time() - _start(staging)
    if taken > STALE_SECONDS / 2:
        raise RuntimeError(
            f"found an upload of {taken / 3600:.1f} hours; expected at most {STALE_SECONDS / 7200:.0f}: look at the "
            "network, and push again"
        )


def _upload(base: str, write: Writer, version: int, staging: str) -> list[tuple[str, str]]:
    """Writes a version under the name that readers ignore; returns its objects, each with its base directory."""
    with tempfile.TemporaryDirectory(prefix="pushing") as scratch:
        folder = Path(scratch) / str(version)
        folder.mkdir()
        write(folder, version)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [str(path.relative_to(folder)) for path in files]
        for path, name in zip(files, names, strict=True):
            target = f"{base}/{staging}/{name}"
            gfile.makedirs(target.rpartition("/")[0])
            gfile.copy(str(path), target)
    return [(base, name) for name in names]


def _place(name: str) -> int:
    """When an object gets its name: those of no meaning to readers first."""
    return LAST.index(name) if name in LAST else -1


def _clear(bases: list[str]) -> None:
    """Removes what pushes that were killed have left; one that named all of its objects has made whole versions."""
    old = time.time() - STALE_SECONDS
    staged = {name for base in bases for name in _names(base) if _STAGING.fullmatch(name)}
    for name in (each for each in staged if _start(each) < old):
        folders = [f"{base}/{name}" for base in bases]
        if any(_has_objects(folder) for folder in folders):
            _remove(bases, _version(name), name)
        else:
            for folder in folders:
                _remove_folder(folder)


def _remove(bases: Iterable[str], version: int, staging: str) -> None:
    """Removes a version and what was to become it, as far as it goes.

    What makes a reader take it for whole goes first, and what tells a later push to come back here goes last.
    """
    folders = [f"{base}/{version}" for base in bases]
    for folder in folders:
        for name in reversed(LAST):
            with contextlib.suppress(tf.errors.OpError):
                gfile.remove(f"{folder}/{name}")
    for folder in [*folders, *(f"{base}/{staging}" for base in bases)]:
        _remove_folder(folder)


def _remove_folder(folder: str) -> None:
    """Removes a folder, unless it is not there; two pushes may clear at once."""
    with contextlib.suppress(tf.errors.NotFoundError):
        gfile.rmtree(folder)


def _versions(base: str) -> list[int]:
    """The numbers below a base directory, of versions and of claims; one that is both is there twice."""
    names = _names(base)
    return [*map(int, filter(str.isdigit, names)), *map(_version, filter(_STAGING.fullmatch, names))]


def _version(staging: str) -> int:
    found = _STAGING.fullmatch(staging)
    assert found
    return int(found["version"])


def _start(staging: str) -> int:
    found = _STAGING.fullmatch(staging)
    assert found
    return int(found["start"])


def _names(folder: str) -> list[str]:
    """Names in a folder; Cloud Storage's end in a slash where they are folders."""
    return [str(name).rstrip("/") for name in gfile.listdir(folder)]


def _has_objects(folder: str) -> bool:
    return any(files for _, _, files in gfile.walk(folder))
