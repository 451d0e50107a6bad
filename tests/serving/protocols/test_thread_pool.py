import asyncio
import functools
import threading
import weakref

import pytest

from serving.protocols.thread_pool import ThreadPool


def test_results_return_from_threads_to_the_loop() -> None:
    async def run() -> list[tuple[int, bool]]:
        pool = ThreadPool(asyncio.get_running_loop(), 4, "test")
        main = threading.get_ident()

        def work(each: int) -> tuple[int, bool]:
            return each, threading.get_ident() == main

        results = await asyncio.gather(*(pool.submit(functools.partial(work, each)) for each in range(100)))
        pool.stop()
        return list(results)

    assert asyncio.run(run()) == [(each, False) for each in range(100)]


def test_error_is_set_on_the_future_and_the_thread_survives() -> None:
    async def run() -> int:
        pool = ThreadPool(asyncio.get_running_loop(), 1, "test")
        with pytest.raises(RuntimeError, match="failed"):
            await pool.submit(_fail)
        result: int = await pool.submit(lambda: 7)
        pool.stop()
        return result

    assert asyncio.run(run()) == 7


def test_cancelled_call_is_not_run() -> None:
    started: list[int] = []

    async def run() -> None:
        pool, gate = ThreadPool(asyncio.get_running_loop(), 1, "test"), threading.Event()
        first = pool.submit(gate.wait)
        second = pool.submit(lambda: started.append(2))
        third = pool.submit(lambda: started.append(3))
        second.cancel()
        gate.set()
        await asyncio.gather(first, third)
        pool.stop()

    asyncio.run(run())
    assert started == [3]


def test_full_key_delays_no_other_and_forgets_cancelled_calls() -> None:
    async def run() -> list[str]:
        pool, gate, done = ThreadPool(asyncio.get_running_loop(), 1, "test"), threading.Event(), []
        first = pool.submit(gate.wait, key="slow")
        second = pool.submit(lambda: done.append("second"), lambda: done.append("dropped"), key="slow")
        third = pool.submit(lambda: done.append("third"), key="slow")
        second.cancel()
        await pool.submit(lambda: done.append("quick"), key="quick")
        gate.set()
        await asyncio.gather(first, third)
        pool.stop()
        return done

    assert sorted(asyncio.run(run())[:2]) == ["dropped", "quick"]
    assert asyncio.run(run())[2:] == ["third"]


def test_idle_thread_keeps_no_reference_to_its_last_call() -> None:
    class Large:
        pass

    async def run() -> weakref.ref[Large]:
        pool, large, done = ThreadPool(asyncio.get_running_loop(), 1, "test"), Large(), []
        kept = weakref.ref(large)
        await pool.submit(functools.partial(id, large), on_done=lambda: done.append(1))
        del large
        assert done == [1]
        for _ in range(100):
            if kept() is None:
                break
            await asyncio.sleep(0.01)
        pool.stop()
        return kept

    assert asyncio.run(run())() is None


def _fail() -> None:
    raise RuntimeError("failed")
