"""A thread pool for an asyncio event loop."""

import asyncio
import contextvars
import dataclasses
import functools
import queue
import threading
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]
MAX_THREADS = 1024
MAX_THREADS_PER_KEY = 896  # leaves some for other keys


@dataclasses.dataclass(frozen=True)
class _Item:
    """A submitted function. See :meth:`ThreadPool.submit`."""

    future: "asyncio.Future[Any]"
    work: Work
    on_done: Callable[[], None]
    key: str


class ThreadPool:
    """Runs functions in threads and returns their results to an event loop.

    It does the same as ``loop.run_in_executor``, but without a second future and a lock per call. That halves the
    overhead, which matters with small models.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_threads: int, name: str) -> None:
        """Creates a pool. Threads are started on demand, because fewer threads make better use of the CPU's caches.

        Args:
            loop: The event loop. :meth:`submit` may be called only from this loop.
            max_threads: Maximum number of threads per key, so that slow functions of one key do not delay the others.
            name: Prefix of the threads' names.
        """
        self._loop = loop
        self._max_threads = min(max_threads, MAX_THREADS_PER_KEY)
        self._name = name
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._threads = 0
        # By key: the number of items that have been given to threads, and the items that wait, by their future.
        self._started: dict[str, int] = {}
        self._waiting: dict[str, dict[asyncio.Future[Any], _Item]] = {}

    def submit(self, work: Work, on_done: Callable[[], None] = lambda: None, key: str = "") -> "asyncio.Future[Any]":
        """Runs a function in a thread, unless the future is cancelled before a thread is free.

        It runs in a copy of the caller's context.

        Args:
            work: The function. An exception that it raises is set on the future.
            on_done: Called in the loop when the function has returned or was skipped, even if the future is cancelled.
            key: What the function is for, such as a model.
        """
        future = self._loop.create_future()
        item = _Item(future, functools.partial(contextvars.copy_context().run, work), on_done, key)
        if self._started.get(key, 0) < self._max_threads:
            self._start(item)
        else:
            self._waiting.setdefault(key, {})[future] = item
            future.add_done_callback(lambda _future: self._drop(item))
        return future

    def is_waiting(self, future: "asyncio.Future[Any]", key: str) -> bool:
        """Returns whether a function still waits for a thread."""
        return future in self._waiting.get(key, {})

    def _start(self, item: _Item) -> None:
        self._started[item.key] = self._started.get(item.key, 0) + 1
        self._queue.put(item)
        if self._threads < min(sum(self._started.values()), MAX_THREADS):
            self._threads += 1
            threading.Thread(target=self._run, name=f"{self._name}_{self._threads}", daemon=True).start()

    def _drop(self, item: _Item) -> None:
        """Forgets an item that was cancelled while it waited."""
        waiting = self._waiting.get(item.key, {})
        if waiting.pop(item.future, None):
            item.on_done()
            if not waiting:
                del self._waiting[item.key]

    def stop(self) -> None:
        """Ends the threads once the queue is empty."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _run(self) -> None:
        while item := self._queue.get():
            value, failure = None, None
            if not item.future.cancelled():
                try:
                    value = item.work()
                except Exception as error:  # set on the future
                    failure = error
            self._loop.call_soon_threadsafe(self._finish, item, value, failure)
            del item, value, failure  # otherwise they live until the next item arrives

    def _finish(self, item: _Item, value: Any, error: Exception | None) -> None:
        self._started[item.key] -= 1
        if not self._started[item.key]:
            del self._started[item.key]
        self._start_next(item.key)
        item.on_done()
        future = item.future
        if future.done():  # cancelled
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(value)

    def _start_next(self, key: str) -> None:
        """Starts the item that has waited longest. Cancelled ones are gone already, or are skipped by the thread."""
        waiting = self._waiting.get(key)
        if waiting:
            self._start(waiting.pop(next(iter(waiting))))
            if not waiting:
                del self._waiting[key]
