"""Threads that work for an event loop."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]
_Waiting = tuple["asyncio.Future[Any]", Work, Callable[[], None]]


class Workers:
    """Threads that take calls from a loop and give it back what they return.

    As ``loop.run_in_executor`` with a pool, without a second future and a lock for each call: half of what the way
    through a thread costs, and with small models that is a part of the time of a request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int, name: str) -> None:
        """Starts no thread yet: as few as are needed at once find their memory in the CPU's cache.

        Args:
            loop: Whom they work for; only from there may work be submitted.
            most: How many there may be.
            name: What they are called.
        """
        self._loop = loop
        self._most = most
        self._name = name
        self._waiting: queue.SimpleQueue[tuple[asyncio.Future[Any], Work, Callable[[], None]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = 0
        self._under_way = 0

    def submit(self, work: Work, after: Callable[[], None] = lambda: None) -> "asyncio.Future[Any]":
        """Has a thread do it; one that is cancelled before a thread takes it is not done.

        Args:
            work: What to do. An exception that it raises is the future's.
            after: Called in the loop once it is done or dropped, be the future cancelled or not.
        """
        future = self._loop.create_future()
        self._waiting.put((future, work, after))
        self._under_way += 1
        if self._threads < min(self._under_way, self._most):
            self._threads += 1
            threading.Thread(target=self._run, name=f"{self._name}_{self._threads}", daemon=True).start()
        return future

    def stop(self) -> None:
        """Ends the threads once what waits is done."""
        for _ in range(self._threads):
            self._waiting.put(None)

    def _run(self) -> None:
        while taken := self._waiting.get():
            future, work, after = taken
            value, failure = None, None
            if not future.cancelled():
                try:
                    value = work()
                except Exception as error:  # whoever waits is told
                    failure = error
            self._loop.call_soon_threadsafe(self._settle, after, future, value, failure)
            del taken, future, work, after, value, failure  # else they are kept until there is more to do

    def _settle(
        self, after: Callable[[], None], future: "asyncio.Future[Any]", value: Any, error: Exception | None
    ) -> None:
        self._under_way -= 1
        after()
        if future.done():  # nobody waits any more
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(value)
