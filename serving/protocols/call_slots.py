"""Limits the gRPC calls that run at once for each model, so that a slow model does not delay the calls to others."""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Iterator

import grpc

from serving.access.call_limit import CallLimit
from serving.errors import Code, ServingError

MAX_WAIT_SECONDS = 86_400.0
RESERVED = 8  # One of this many calls is reserved for models with few calls, so that they are not refused for others.
FEW = 8


class CallSlots:
    """The calls of each model that run, and those that wait for one of them to end, in their order.

    A call keeps running when its deadline has passed, because TensorFlow cannot be interrupted. A call that waits ends
    with its deadline, or when its client disconnects, and is never started.

    Every call holds a thread. Overloaded models can have 7/8 of them. The rest is for models with fewer than 8 calls.
    """

    def __init__(self, max_running: int, max_calls: int, limit: CallLimit) -> None:
        """Creates the slots.

        Args:
            max_running: Maximum number of running calls per model.
            max_calls: Maximum number of running and waiting calls of all models.
            limit: Another limit of running and waiting calls per model.
        """
        self._max_running = max_running
        self._max_calls = max_calls
        self._limit = limit
        self._lock = threading.Lock()
        self._models: dict[str, _Calls] = {}
        self._total = 0

    @contextlib.contextmanager
    def hold(self, model: str, context: grpc.ServicerContext) -> Iterator[None]:
        """Waits for a slot, and keeps it until the block ends.

        Args:
            model: Name of the model, known or not.
            context: The call.

        Raises:
            ServingError: Nobody waits for the call any more, or too many calls wait.
        """
        self._limit.enter(model)
        try:
            waiter = self._enter(model)
            if waiter:
                self._wait(model, waiter, context)
            try:
                check_waited_for(context)
                yield
            finally:
                self._leave(model)
        finally:
            self._limit.leave(model)

    def _enter(self, model: str) -> "_Waiter | None":
        """Takes a slot, or returns a new waiter if none is free."""
        with self._lock:
            calls = self._models.get(model) or _Calls()
            count = calls.running + len(calls.waiting)
            common = self._max_calls - self._max_calls // RESERVED
            if self._total >= (self._max_calls if count < FEW else common):
                text = f"too many calls of model {model} are running or waiting ({count}); try again later"
                raise ServingError(Code.RESOURCE_EXHAUSTED, text)
            self._models[model] = calls
            self._total += 1
            if calls.running < self._max_running:
                calls.running += 1
                return None
            waiter = _Waiter()
            calls.waiting[waiter] = None
            return waiter

    def _wait(self, model: str, waiter: "_Waiter", context: grpc.ServicerContext) -> None:
        if context.add_callback(waiter.woken.set):  # otherwise the call has ended already
            # Without a deadline, gRPC returns centuries, which Python's locks reject.
            remaining = context.time_remaining()
            waiter.woken.wait(MAX_WAIT_SECONDS if remaining is None else min(remaining, MAX_WAIT_SECONDS))
        with self._lock:
            if waiter.has_slot:
                return
            del self._models[model].waiting[waiter]
            self._total -= 1
        check_waited_for(context)
        raise ServingError(Code.DEADLINE_EXCEEDED, "the deadline passed before the request was handled")

    def _leave(self, model: str) -> None:
        """Gives the slot to the call that has waited longest, if any."""
        with self._lock:
            self._total -= 1
            calls = self._models[model]
            if calls.waiting:
                waiter, _ = calls.waiting.popitem(last=False)
                waiter.has_slot = True
                waiter.woken.set()
                return
            calls.running -= 1
            if not calls.running:
                del self._models[model]


def check_waited_for(context: grpc.ServicerContext) -> None:
    """Checks that a client still waits for a call.

    Raises:
        ServingError: The deadline has passed, or the client has disconnected.
    """
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise ServingError(Code.DEADLINE_EXCEEDED, "the deadline passed before the request was handled")
    if not context.is_active():
        raise ServingError(Code.CANCELLED, "the client disconnected before the request was handled")


@dataclasses.dataclass(eq=False)
class _Waiter:
    """A call that waits for a slot. It is woken when it has one, or when its client no longer waits."""

    woken: threading.Event = dataclasses.field(default_factory=threading.Event)
    has_slot: bool = False


@dataclasses.dataclass
class _Calls:
    """The calls of a model. Those that wait are in the order in which they came."""

    running: int = 0
    waiting: "collections.OrderedDict[_Waiter, None]" = dataclasses.field(default_factory=collections.OrderedDict)
