"""Reports training progress to listeners that display it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from absl import logging

LINE_PREFIX = "\x1eprogress "  # marks a progress line in a worker's output
Listener: TypeAlias = Callable[[str, str], None]  # takes the source, which is empty for this process, and the line
_listeners: list[Listener] = []
_prefixes: list[str] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Passes each progress line to a listener while the block runs.

    >>> with listening(lambda source, line: print(f"{source}: {line}")):
    ...     report("step 80 of 1600, loss 0.41", source="worker 0")
    worker 0: step 80 of 1600, loss 0.41
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def prefixed(prefix: str) -> Iterator[None]:
    """Starts each progress line with a prefix while the block runs.

    >>> with listening(lambda source, line: print(line)), prefixed("training 2 of 9: "):
    ...     report("step 80 of 1600")
    training 2 of 9: step 80 of 1600
    """
    _prefixes.append(prefix)
    try:
        yield
    finally:
        _prefixes.remove(prefix)


def report(line: str, source: str = "") -> None:
    """Reports progress of this process or of another one.

    Args:
        line: The progress, such as ``step 80 of 1600, loss 0.41``.
        source: Name of the process, or empty for this one.
    """
    line = "".join([*_prefixes, line])
    logging.info("%s%s", f"{source}: " if source else "", line)
    for listener in list(_listeners):
        listener(source, line)
