"""Signals that stop a run."""

import os
import signal
import threading
from typing import Any

import pytest

from pipeline.local import interruption

SECONDS = 20.0


pytestmark = pytest.mark.usefixtures("signal_handlers")


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_stops_the_block_like_ctrl_c(number: signal.Signals) -> None:
    ended = threading.Event()
    with pytest.raises(KeyboardInterrupt), interruption.interruptible(ended.set):
        os.kill(os.getpid(), number)
    assert not interruption.is_requested()
    assert not ended.is_set()
    assert signal.set_wakeup_fd(-1) == -1


def test_more_signals_do_not_stop_what_ends_the_process() -> None:
    """An impatient user presses Ctrl-C again while the child processes of the run end."""
    received: list[int] = []
    for each in interruption.SIGNALS:
        signal.signal(each, lambda number, _: received.append(number))
    with pytest.raises(KeyboardInterrupt), interruption.interruptible(threading.Event().set):
        os.kill(os.getpid(), signal.SIGINT)
    for number in interruption.SIGNALS:
        os.kill(os.getpid(), number)
    assert received == []


def test_a_block_without_a_signal_restores_the_handlers(signal_handlers: list[Any]) -> None:
    with interruption.interruptible(threading.Event().set):
        assert signal_handlers != [signal.getsignal(each) for each in interruption.SIGNALS]
    assert signal_handlers == [signal.getsignal(each) for each in interruption.SIGNALS]


def stop_in_a_step() -> None:
    """Raises what Beam raises for an interrupted step."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise RuntimeError("KeyboardInterrupt [while running 'Inference']") from None


def test_an_error_because_of_the_signal_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), interruption.interruptible(threading.Event().set):
        stop_in_a_step()
    with pytest.raises(ValueError, match="another"), interruption.interruptible(threading.Event().set):
        raise ValueError("another")


def test_a_block_that_swallows_the_interrupt_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "GRACE_SECONDS", 0.05)
    ended = threading.Event()
    with interruption.interruptible(ended.set):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert ended.wait(SECONDS)


def test_a_second_signal_ends_the_process_at_once() -> None:
    ended = threading.Event()
    with interruption.interruptible(ended.set):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert ended.wait(SECONDS / 4)
