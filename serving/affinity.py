"""Which CPUs threads run on: Python's on one of them, where TensorFlow's do the work.

Of Python's threads one runs at a time, whatever the number of CPUs. When they are spread, each hand-over from one to
the next wakes another CPU and finds its caches cold; on one CPU it is a mere switch. With batching the model runs in
threads of TensorFlow's own, which keep all CPUs, so that nothing is lost; without, it runs in the caller's thread, and
these are left alone.
"""

import contextlib
import os
import random
import threading
from collections.abc import Iterator

ALL = os.sched_getaffinity(0)


def gather() -> None:
    """Puts Python's threads on one CPU, and with them those that they will start."""
    cpu = random.choice(sorted(ALL))  # noqa: S311 - several servers on a machine are not to choose the same
    for thread in threading.enumerate():
        if thread.native_id is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(thread.native_id, {cpu})


@contextlib.contextmanager
def spread() -> Iterator[None]:
    """Gives the calling thread all CPUs for a while, and with it the threads that TensorFlow starts meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALL)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
