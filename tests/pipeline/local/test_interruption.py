"""Signals that stop a run."""

import os
import signal
import threading

import pytest

from pipeline.local import interruption

SECONDS = 20.0


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_stops_the_block_like_ctrl_c(number: signal.Signals) -> None:
    handlers = [signal.getsignal(each) for each in interruption.SIGNALS]
    ended = threading.Event()
    with pytest.raises(KeyboardInterrupt), interruption.interruptible(ended.set):
        os.kill(os.getpid(), number)
    assert not interruption.is_requested()
    assert not ended.is_set()
    assert handlers == [signal.getsignal(each) for each in interruption.SIGNALS]
    assert signal.set_wakeup_fd(-1) == -1


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
