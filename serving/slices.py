"""Converts large values in slices, between which other threads run.

Functions written in C keep Python's interpreter lock until they return. For a message of many megabytes, that takes
seconds, in which the server answers no other request.
"""

import time
from collections.abc import Iterator

MAX_VALUES = 1 << 13  # converted in about a millisecond
# Long enough for a thread that waits for the lock to wake up and take it. This one would take it back otherwise.
PAUSE_SECONDS = 1e-4


def slices(count: int, size: int = MAX_VALUES) -> Iterator[slice]:
    """Yields the slices of a sequence. Lets other threads run before each slice but the first.

    >>> list(slices(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]

    Args:
        count: Length of the sequence.
        size: Length of a slice.
    """
    for start in range(0, count, size):
        if start:
            let_others_run()
        yield slice(start, start + size)


def let_others_run() -> None:
    """Gives Python's interpreter lock to the threads that wait for it."""
    time.sleep(PAUSE_SECONDS)
