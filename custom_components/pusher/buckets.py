"""A push into buckets, where single objects appear at once, and folders do not.

TensorFlow Serving takes any number below its base path for a version, and tries to load it; a version without
``saved_model.pb`` fails to load, is tried again (``--max_num_load_retries``, once a minute), and the one before it
answers meanwhile. So all bytes go to the bucket under a name that a reader ignores. Then each object gets its own name,
which copies nothing through this machine, and the one by which a reader knows a version comes last: a version is
incomplete for as long as some renames take, and not for an upload.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf

from custom_components.pusher.folders import STAGING_PREFIX, Writer
from custom_components.tflite_exporter.artifact import MODEL_FILE
from serving.edge import MANIFEST_FILE

gfile = tf.io.gfile

# A reader takes a version for whole by the last of these.
LAST = (MODEL_FILE, MANIFEST_FILE, "saved_model.pb")


def push_to_buckets(writers: Mapping[str, Writer]) -> int:
    """Makes a new version under each base directory, and returns its number.

    What an earlier push that was killed has left is removed first, whole versions of its number elsewhere, too; so one
    push at a time may be under way.

    Args:
        writers: By base directory, in any file system that TensorFlow knows, what fills a folder here with the
            version. The last objects of all versions appear one right after the other, in this order; a process that
            is killed between two leaves the first version alone, until the next push.

    Raises:
        tf.errors.OpError: One cannot be written; then no version is left behind. So it is for whatever a writer raises.
    """
    versions = [int(time.time())]
    for base in writers:
        gfile.makedirs(base)
        versions += [int(name) + 1 for name in _names(base) if name.isdigit()]
    _clear(list(writers))
    version = max(versions)
    try:
        objects = [each for base, write in writers.items() for each in _upload(base, write, version)]
        for base, name in sorted(objects, key=lambda each: _place(each[1])):
            final = f"{base}/{version}/{name}"
            gfile.makedirs(final.rpartition("/")[0])
            gfile.rename(f"{base}/{STAGING_PREFIX}{version}/{name}", final)
    except BaseException:
        _remove(writers, version)
        raise
    for base in writers:
        with contextlib.suppress(tf.errors.OpError):  # the model is pushed; the next push comes back here
            gfile.rmtree(f"{base}/{STAGING_PREFIX}{version}")
    return version


def _upload(base: str, write: Writer, version: int) -> list[tuple[str, str]]:
    """Writes a version under the name that readers ignore; returns its objects, each with its base directory."""
    with tempfile.TemporaryDirectory(prefix="pushing") as scratch:
        folder = Path(scratch) / str(version)
        folder.mkdir()
        write(folder, version)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [str(path.relative_to(folder)) for path in files]
        for path, name in zip(files, names, strict=True):
            target = f"{base}/{STAGING_PREFIX}{version}/{name}"
            gfile.makedirs(target.rpartition("/")[0])
            gfile.copy(str(path), target)
    return [(base, name) for name in names]


def _place(name: str) -> int:
    """When an object gets its name: those of no meaning to readers first."""
    return LAST.index(name) if name in LAST else -1


def _clear(bases: list[str]) -> None:
    """Removes what pushes that were killed have left; one that named all of its objects has made whole versions."""
    staging = {(base, name) for base in bases for name in _names(base) if name.startswith(STAGING_PREFIX)}
    for version in {name.removeprefix(STAGING_PREFIX) for _, name in staging}:
        if any(_has_objects(f"{base}/{name}") for base, name in staging if name == f"{STAGING_PREFIX}{version}"):
            _remove(bases, version)
        else:
            for base, name in staging:
                if name == f"{STAGING_PREFIX}{version}":
                    gfile.rmtree(f"{base}/{name}")


def _remove(bases: Iterable[str], version: int | str) -> None:
    """Removes a version and what was to become it, as far as it goes.

    What makes a reader take it for whole goes first, and what tells the next push to come back here goes last.
    """
    folders = [f"{base}/{version}" for base in bases]
    for folder in folders:
        for name in reversed(LAST):
            with contextlib.suppress(tf.errors.OpError):
                gfile.remove(f"{folder}/{name}")
    for folder in [*folders, *(f"{base}/{STAGING_PREFIX}{version}" for base in bases)]:
        if gfile.exists(folder):
            gfile.rmtree(folder)


def _names(folder: str) -> list[str]:
    """Names in a folder; Cloud Storage's end in a slash where they are folders."""
    return [str(name).rstrip("/") for name in gfile.listdir(folder)]


def _has_objects(folder: str) -> bool:
    return any(files for _, _, files in gfile.walk(folder))
