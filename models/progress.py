"""How far training is, for whoever wants to show it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from absl import logging

MARK = "\x1eprogress "  # begins a line of a worker's output that is one
_listeners: list[Callable[[str], None]] = []


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Hands each line to a listener for as long as the block lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def report(line: str) -> None:
    """Tells a line, such as ``step 80 of 1600, loss 0.41``."""
    logging.info(line)
    for listener in list(_listeners):
        listener(line)
