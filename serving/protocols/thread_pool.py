"""A thread pool for an asyncio event loop."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


class ThreadPool:
    """Runs functions in threads and returns their results to an event loop.

    It does the same as ``loop.run_in_executor``, but without a second future and a lock per call. That halves the
    overhead, which matters with small models.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_threads: int, name: str) -> None:
        """Creates a pool. Threads are started on demand, because fewer threads make better use of the CPU's caches.

        Args:
            loop: The event loop. :meth:`submit` may be called only from this loop.
            max_threads: Maximum number of threads.
            name: Prefix of the threads' names.
        """
        self._loop = loop
        self._max_threads = max_threads
        self._name = name
        self._queue: queue.SimpleQueue[tuple[asyncio.Future[Any], Work, Callable[[], None]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = 0
        self._pending = 0

    def submit(self, work: Work, on_done: Callable[[], None] = lambda: None) -> "asyncio.Future[Any]":
        """Runs a function in a thread, unless the future is cancelled before a thread is free.

        Args:
            work: The function. An exception that it raises is set on the future.
            on_done: Called in the loop when the function has returned or was skipped, even if the future is cancelled.
        """
        future = self._loop.create_future()
        self._queue.put((future, work, on_done))
        self._pending += 1
        if self._threads < min(self._pending, self._max_threads):
            self._threads += 1
            threading.Thread(target=self._run, name=f"{self._name}_{self._threads}", daemon=True).start()
        return future

    def stop(self) -> None:
        """Ends the threads once the queue is empty."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _run(self) -> None:
        while item := self._queue.get():
            future, work, on_done = item
            value, failure = None, None
            if not future.cancelled():
                try:
                    value = work()
                except Exception as error:  # set on the future
                    failure = error
            self._loop.call_soon_threadsafe(self._finish, on_done, future, value, failure)
            del item, future, work, on_done, value, failure  # otherwise they live until the next item arrives

    def _finish(
        self, on_done: Callable[[], None], future: "asyncio.Future[Any]", value: Any, error: Exception | None
    ) -> None:
        self._pending -= 1
        on_done()
        if future.done():  # cancelled
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(value)
