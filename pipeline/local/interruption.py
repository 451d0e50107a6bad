"""SIGINT and SIGTERM stop a run, wherever it is."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 10.0
_requested = threading.Event()


def is_requested() -> bool:
    """Returns whether the block of :func:`interruptible` that is running was asked to stop."""
    return _requested.is_set()


@contextlib.contextmanager
def interruptible(end: Callable[[], object]) -> Iterator[None]:
    """Raises KeyboardInterrupt in the block at the first SIGINT or SIGTERM.

    Libraries may swallow it, and Beam turns it into an error of its step, which is turned back here. While C++ code
    runs, Python does not even see the signal. So another thread watches the block.

    After a signal, the caller has to end the process. Until then, further signals are ignored, since the second Ctrl-C
    of an impatient user would stop the caller before it has ended its child processes.

    Args:
        end: Ends the process. It is called if the block has not ended ten seconds after the first signal, or at the
            second one.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)  # as set_wakeup_fd requires
    watcher = threading.Thread(target=_watch, args=(receiver, end), name="interruption", daemon=True)
    previous = [(number, signal.signal(number, _interrupt)) for number in SIGNALS]
    previous_descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    except Exception as error:
        if is_requested():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.set_wakeup_fd(previous_descriptor)
        for number, handler in previous:
            signal.signal(number, signal.SIG_IGN if is_requested() else handler)
        sender.close()  # ends the watcher
        watcher.join()
        receiver.close()
        _requested.clear()


def _interrupt(_number: int, _frame: object) -> None:
    if not _requested.is_set():
        _requested.set()
        raise KeyboardInterrupt


def _watch(receiver: socket.socket, end: Callable[[], object]) -> None:
    """Reads the numbers of the signals, which the interpreter writes as soon as they arrive."""
    while received := receiver.recv(1):
        if received[0] in SIGNALS:
            receiver.settimeout(GRACE_SECONDS)
            try:
                if not receiver.recv(1):
                    return
            except TimeoutError:
                pass
            end()
            return
