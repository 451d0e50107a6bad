import threading
import time
from collections.abc import Callable
from concurrent import futures

import pytest

from serving.access.call_limit import CallLimit
from serving.errors import Code, ServingError
from serving.protocols.call_slots import CallSlots


class Context:
    """A call without a deadline, which its client can end."""

    def __init__(self) -> None:
        self.active = True
        self.callbacks: list[object] = []

    def time_remaining(self) -> float | None:
        return None

    def is_active(self) -> bool:
        return self.active

    def add_callback(self, callback: object) -> bool:
        self.callbacks.append(callback)
        return self.active

    def end(self) -> None:
        self.active = False
        for each in self.callbacks:
            each()  # type: ignore[operator]


def hold(
    slots: CallSlots,
    model: str,
    gate: threading.Event,
    context: Context | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> str:
    try:
        with slots.hold(model, context or Context()):
            on_start()
            assert gate.wait(60)
            return "done"
    except ServingError as error:
        return error.code.name


def wait_until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not check():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_overloaded_models_leave_calls_for_others() -> None:
    slots, gate = CallSlots(4, 128, CallLimit(0)), threading.Event()
    threads = futures.ThreadPoolExecutor(400)
    calls: list[futures.Future[str]] = []

    def all_are_running_waiting_or_refused() -> bool:
        return slots._total + sum(each.done() for each in calls) == len(calls)

    try:
        for model, total in (("first", 112), ("second", 120)):
            calls += [threads.submit(hold, slots, model, gate) for _ in range(150)]
            wait_until(all_are_running_waiting_or_refused)
            assert slots._total == total
        assert {each.result() for each in calls if each.done()} == {"RESOURCE_EXHAUSTED"}
        quick = threads.submit(hold, slots, "quick", gate)
        wait_until(lambda: "quick" in slots._models)
    finally:
        gate.set()
        threads.shutdown()
    assert quick.result() == "done"
    assert not slots._models
    assert not slots._total


def test_slot_goes_to_the_call_that_has_waited_longest_and_not_to_an_abandoned_one() -> None:
    slots, gates = CallSlots(1, 128, CallLimit(0)), [threading.Event() for _ in range(4)]
    contexts = [Context() for _ in gates]
    started: list[int] = []
    threads = []
    for index, (gate, context) in enumerate(zip(gates, contexts, strict=True)):

        def run(index: int = index, gate: threading.Event = gate, context: Context = context) -> None:
            status = hold(slots, "model", gate, context, lambda: started.append(index))
            assert status == ("CANCELLED" if index == 1 else "done")

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        wait_until(lambda index=index: slots._total == index + 1)  # type: ignore[misc]
    contexts[1].end()
    wait_until(lambda: slots._total == 3)
    for gate in gates:
        gate.set()
    for thread in threads:
        thread.join(30)
    assert started == [0, 2, 3]
    assert not slots._models


@pytest.mark.parametrize("rounds", [200])
def test_slots_survive_calls_that_end_while_they_are_handed_over(rounds: int) -> None:
    slots = CallSlots(2, 64, CallLimit(8))

    def one(number: int) -> str:
        context, gate = Context(), threading.Event()
        gate.set()
        if number % 3 == 0:
            threading.Timer(0.0, context.end).start()
        return hold(slots, "model", gate, context)

    with futures.ThreadPoolExecutor(16) as pool:
        codes = set(pool.map(one, range(rounds)))
    assert "done" in codes
    assert codes <= {"done", Code.CANCELLED.name, Code.RESOURCE_EXHAUSTED.name}
    assert not slots._models
    assert not slots._total
    assert not slots._limit._calls
