import asyncio
import functools
import threading
import weakref

import pytest

from serving.protocols.thread_pool import ThreadPool


def test_calls_run_in_threads_and_come_back_to_the_loop() -> None:
    async def ask() -> list[tuple[int, bool]]:
        workers = ThreadPool(asyncio.get_running_loop(), 4, "test")
        main = threading.get_ident()

        def work(each: int) -> tuple[int, bool]:
            return each, threading.get_ident() == main

        answers = await asyncio.gather(*(workers.submit(functools.partial(work, each)) for each in range(100)))
        workers.stop()
        return list(answers)

    assert asyncio.run(ask()) == [(each, False) for each in range(100)]


def test_an_error_reaches_who_waits_and_the_thread_goes_on() -> None:
    async def ask() -> int:
        workers = ThreadPool(asyncio.get_running_loop(), 1, "test")
        with pytest.raises(RuntimeError, match="no luck"):
            await workers.submit(_fail)
        answer: int = await workers.submit(lambda: 7)
        workers.stop()
        return answer

    assert asyncio.run(ask()) == 7


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    begun: list[int] = []

    async def ask() -> None:
        workers, gate = ThreadPool(asyncio.get_running_loop(), 1, "test"), threading.Event()
        first = workers.submit(gate.wait)
        second = workers.submit(lambda: begun.append(2))
        third = workers.submit(lambda: begun.append(3))
        second.cancel()
        gate.set()
        await asyncio.gather(first, third)
        workers.stop()

    asyncio.run(ask())
    assert begun == [3]


def test_a_thread_that_waits_keeps_nothing_of_its_last_call() -> None:
    class Large:
        pass

    async def ask() -> weakref.ref[Large]:
        workers, large, done = ThreadPool(asyncio.get_running_loop(), 1, "test"), Large(), []
        kept = weakref.ref(large)
        await workers.submit(functools.partial(id, large), on_done=lambda: done.append(1))
        del large
        assert done == [1]
        for _ in range(100):
            if kept() is None:
                break
            await asyncio.sleep(0.01)
        workers.stop()
        return kept

    assert asyncio.run(ask())() is None


def _fail() -> None:
    raise RuntimeError("no luck")
