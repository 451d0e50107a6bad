"""Pushes into buckets, where objects appear atomically but folders do not.

TensorFlow Serving treats any number below its base path as a version, and tries to load it. A version without
``saved_model.pb`` fails to load and is tried again (``--max_num_load_retries``, once a minute), while the previous
version keeps serving. So all objects are first uploaded under a name that readers ignore. Then each object is renamed
within the bucket, and the object that makes a version loadable is renamed last. A version is incomplete only while
objects are renamed, not during an upload.

Buckets have no locks. The folder that a push uploads to also claims the version number. If two concurrent pushes claim
the same number, a push that sees the other's claim gives up the number. Abandoned uploads are removed by a later push.
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
from artifacts.nodes.push import is_version
from custom_components.pusher.folders import STAGING_PREFIX, Writer
from serving.edge import MANIFEST_FILE

gfile = tf.io.gfile

# Files that make a version complete for a reader, in the order in which they are renamed.
LAST = (TFLITE_FILE, MANIFEST_FILE, SAVED_MODEL_FILE)
STALE_SECONDS = 12 * 3600  # age at which a push counts as killed; a running push gives up after half of it
MAX_CLAIMS, MAX_WAIT = 30, 2.0  # attempts to claim a number, and seconds between two attempts
# Version number, start of the push in seconds, and a random token.
_STAGING = re.compile(re.escape(STAGING_PREFIX) + r"(?P<version>\d+)-(?P<start>\d+)-[0-9a-f]+")


def push_to_buckets(writers: Mapping[str, Writer]) -> int:
    """Creates a new version in each base directory, and returns its number.

    Concurrent pushes get different numbers and do not affect each other. The objects of a killed push are removed by
    the first push that starts :data:`STALE_SECONDS` later, including a version that is complete in only one of the
    places.

    Args:
        writers: By base directory, in any file system that TensorFlow supports, the function that writes the version
            into a local folder. The last objects of all versions are renamed directly after each other, in this order.
            If the process is killed between two of them, only the first version exists.

    Raises:
        tf.errors.OpError: An object cannot be written. No version is left behind after any error.
        RuntimeError: Other pushes claimed every number, or the upload took so long that another push might remove it.
    """
    bases = list(writers)
    for base in bases:
        gfile.makedirs(base)
    _clear(bases)
    version, staging = _claim(bases)
    try:
        objects = [each for base, write in writers.items() for each in _upload(base, write, version, staging)]
        _check_time(staging)
        for base, name in sorted(objects, key=lambda each: _rename_order(each[1])):
            final = f"{base}/{version}/{name}"
            gfile.makedirs(final.rpartition("/")[0])
            gfile.rename(f"{base}/{staging}/{name}", final)
    except BaseException:
        _remove(bases, version, staging)
        raise
    for base in bases:
        with contextlib.suppress(tf.errors.OpError):  # the model is pushed, so a later push cleans up
            _remove_folder(f"{base}/{staging}")
    return version


def _claim(bases: list[str]) -> tuple[int, str]:
    """Claims a number that no other push has and returns it and the name of the folder to upload to.

    A new folder is listed immediately, so if two pushes claim the same number, at least one of them sees the other.
    Each push that does gives up its claim and tries again a little later.

    Raises:
        RuntimeError: All attempts conflicted with other claims.
    """
    for _ in range(MAX_CLAIMS):
        now = int(time.time())
        version = max([now, *(used + 1 for base in bases for used in _versions(base))])
        staging = f"{STAGING_PREFIX}{version}-{now}-{secrets.token_hex(4)}"
        for base in bases:
            gfile.makedirs(f"{base}/{staging}")
        if all(_versions(base).count(version) == 1 for base in bases):
            return version, staging
        for base in bases:
            _remove_folder(f"{base}/{staging}")
        time.sleep(random.uniform(0, MAX_WAIT))  # noqa: S311 - not for cryptography
    raise RuntimeError(
        f"{bases[0]}: found other pushes in {MAX_CLAIMS} attempts to claim a version number; expected fewer concurrent "
        "pushes: push again later"
    )


def _check_time(staging: str) -> None:
    """Raises if another push might soon treat this one as killed."""
    elapsed = time.time() - _start(staging)
    if elapsed > STALE_SECONDS / 2:
        raise RuntimeError(
            f"found an upload of {elapsed / 3600:.1f} hours; expected at most {STALE_SECONDS / 7200:.0f}: check the "
            "network, and push again"
        )


def _upload(base: str, write: Writer, version: int, staging: str) -> list[tuple[str, str]]:
    """Uploads a version to the staging folder and returns its objects, each with its base directory."""
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


def _rename_order(name: str) -> int:
    """Sort key: the objects in :data:`LAST` come last."""
    return LAST.index(name) if name in LAST else -1


def _clear(bases: list[str]) -> None:
    """Removes the objects of killed pushes. If a push had renamed all objects, its versions are complete and stay."""
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
    """Removes a version and its staging folder, as far as possible.

    Files that make the version complete are removed first. The staging folder is removed last, since it tells a later
    push to clean up.
    """
    folders = [f"{base}/{version}" for base in bases]
    for folder in folders:
        for name in reversed(LAST):
            with contextlib.suppress(tf.errors.OpError):
                gfile.remove(f"{folder}/{name}")
    for folder in [*folders, *(f"{base}/{staging}" for base in bases)]:
        _remove_folder(folder)


def _remove_folder(folder: str) -> None:
    """Removes a folder if it exists. Two pushes may do so at the same time."""
    with contextlib.suppress(tf.errors.NotFoundError):
        gfile.rmtree(folder)


def _versions(base: str) -> list[int]:
    """The numbers of versions and claims in a base directory. A number that is both appears twice."""
    names = _names(base)
    return [*map(int, filter(is_version, names)), *map(_version, filter(_STAGING.fullmatch, names))]


def _version(staging: str) -> int:
    found = _STAGING.fullmatch(staging)
    assert found
    return int(found["version"])


def _start(staging: str) -> int:
    found = _STAGING.fullmatch(staging)
    assert found
    return int(found["start"])


def _names(folder: str) -> list[str]:
    """Names in a folder. In Cloud Storage, names of folders end in a slash."""
    return [str(name).rstrip("/") for name in gfile.listdir(folder)]


def _has_objects(folder: str) -> bool:
    return any(files for _, _, files in gfile.walk(folder))
