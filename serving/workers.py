"""Threads that work for an event loop."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


class Workers:
    """Threads that take calls from a loop and give it back what they return.

    As ``loop.run_in_executor`` with a pool, without a second future and a lock for each call: half of what the way
    through a thread costs, and with small models that is a part of the time of a request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int, name: str) -> None:
        """Starts the threads.

        Args:
            loop: Whom they work for.
            count: How many.
            name: What they are called.
        """
        self._loop = loop
        self._waiting: queue.SimpleQueue[tuple[asyncio.Future[Any], Work] | None] = queue.SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._run, name=f"{name}_{number}", daemon=True).start()

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Has a thread do it; one that is cancelled before a thread takes it is not done.

        Args:
            work: What to do. An exception that it raises is the future's.
        """
        future = self._loop.create_future()
        self._waiting.put((future, work))
        return future

    def stop(self) -> None:
        """Ends the threads once what waits is done."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _run(self) -> None:
        while taken := self._waiting.get():
            future, work = taken
            if future.cancelled():
                continue
            value, failure = None, None
            try:
                value = work()
            except Exception as error:  # whoever waits is told
                failure = error
            self._loop.call_soon_threadsafe(_settle, future, value, failure)


def _settle(future: "asyncio.Future[Any]", value: Any, error: Exception | None) -> None:
    if future.done():  # nobody waits any more
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(value)
