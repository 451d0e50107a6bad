"""Which CPUs threads run on: Python's on one of them, where TensorFlow's do the work.

Of Python's threads one runs at a time, whatever the number of CPUs. When they are spread, each hand-over from one to
the next wakes another CPU and finds its caches cold; on one CPU it is a mere switch. With batching the model runs in
threads of TensorFlow's own, which keep all CPUs. Without, it runs in the caller's thread, and these are left alone.
"""

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging


def started_on_one_cpu(work: Callable[[], Any]) -> None:
    """Does something in a thread that has one CPU, which the threads that it starts inherit.

    Raises:
        Exception: Whatever the work raises.
    """
    failures: list[Exception] = []

    def run() -> None:
        # Several servers on a machine are not to choose the same.
        _move({random.choice(sorted(_all()))})  # noqa: S311
        try:
            work()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="start")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def spread() -> Iterator[None]:
    """Gives the calling thread all CPUs for a while, and with it the threads that TensorFlow starts meanwhile."""
    before = os.sched_getaffinity(0)
    if before == _all():
        yield
        return
    _move(_all())
    try:
        yield
    finally:
        _move(before)


def _all() -> set[int]:
    """Those of the main thread, which stays where it is."""
    return os.sched_getaffinity(os.getpid())


def _move(cpus: set[int]) -> None:
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:  # forbidden, or the CPUs have just been changed: slower, and no reason to fail
        logging.warning("A thread cannot be put on the CPUs %s: %s", sorted(cpus), error)
