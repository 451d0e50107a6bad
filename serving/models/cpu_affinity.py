"""Places Python's threads on one CPU while TensorFlow's threads use all of them.

Because of the global interpreter lock, only one Python thread runs at a time. Spread over several CPUs, each hand-over
of the lock wakes another CPU with cold caches. On one CPU it is a plain context switch. With batching, the model runs
in TensorFlow's own threads, which keep all CPUs. Without batching, it runs in the thread of the caller, so nothing is
moved.
"""

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging


def run_on_one_cpu(function: Callable[[], Any]) -> None:
    """Runs a function in a thread that is bound to one CPU. The threads it starts inherit this.

    Raises:
        Exception: Whatever the function raises.
    """
    failures: list[Exception] = []

    def run() -> None:
        # At random, so that several servers on a machine do not all choose the same CPU.
        _set_affinity({random.choice(sorted(_all_cpus()))})  # noqa: S311
        try:
            function()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="start")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def all_cpus() -> Iterator[None]:
    """Allows the calling thread, and any thread started inside the block, to run on all CPUs."""
    before = os.sched_getaffinity(0)
    if before == _all_cpus():
        yield
        return
    _set_affinity(_all_cpus())
    try:
        yield
    finally:
        _set_affinity(before)


def _all_cpus() -> set[int]:
    """Returns the CPUs of the main thread, whose affinity is never changed."""
    return os.sched_getaffinity(os.getpid())


def _set_affinity(cpus: set[int]) -> None:
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:  # not permitted, or the CPUs have changed: slower, but not a failure
        logging.warning("A thread cannot be bound to the CPUs %s: %s", sorted(cpus), error)
