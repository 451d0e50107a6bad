"""A digest that tells trainings apart."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from common.remote_paths import is_remote
from models.job import Job

PARALLEL_REQUESTS = 16  # a request to a bucket takes tens of milliseconds


def job_digest(job: Job) -> str:
    """Returns a digest of everything that decides what a training computes, and of the folders that it writes to.

    Paths alone do not tell two trainings apart. TFX names folders after executions, and ML Metadata uses ids again once
    its database was deleted or replaced by an older copy. So each input file counts with its size and its time of
    modification, too.

    Args:
        job: The training. Its files may be remote.

    Returns:
        SHA-256 in hexadecimal digits. It is the same in every process of the training.

    Raises:
        tf.errors.OpError: A remote file cannot be read.
        OSError: A local file cannot be read.
    """
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        files = list(pool.map(_describe, sorted(set(_input_files(job)))))
    return hashlib.sha256(json.dumps([job.to_fields(), files], sort_keys=True).encode()).hexdigest()


def _input_files(job: Job) -> Iterator[str]:
    for pattern in itertools.chain(job.train_files, job.validation_files):
        yield from tf.io.gfile.glob(pattern)
    yield from _files_below(filter(None, [job.transform_graph, job.base_model]))


def _files_below(folders: Iterable[str]) -> Iterator[str]:
    for top in folders:
        for folder, _, names in tf.io.gfile.walk(top):
            yield from (os.path.join(folder, name) for name in names)


def _describe(path: str) -> tuple[str, int, int]:
    """Returns the path, the size in bytes and the time in nanoseconds at which the file was last modified."""
    if not is_remote(path):
        local = os.stat(path)  # TensorFlow rounds the time of a local file to seconds
        return path, local.st_size, local.st_mtime_ns
    found = tf.io.gfile.stat(path)
    return path, int(found.length), int(found.mtime_nsec)
