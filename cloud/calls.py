"""Calls of Google's clients: which are made again, how long one waits for them, and how none is done twice."""

import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

TIMEOUT = 60.0  # seconds of one request; without it a connection that is lost is waited for without end
TRIES = 5
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds; each wait is drawn from 0 to a bound that doubles from first to longest
MAX_SECONDS = 3600.0  # that an operation takes; a deployment takes up to half an hour

_Result = TypeVar("_Result")


def retrying(
    call: Callable[[], _Result], done: Callable[[], _Result | None] | None = None, repeatable: bool = True
) -> _Result:
    """Makes a call, again after a while if it was too much (429), or its answer was lost.

    An answer is lost where the connection broke or timed out, or where the service or what is before it failed (500,
    502, 503, 504); what was asked for may have been done all the same.

    Args:
        call: What is tried, up to :data:`TRIES` times.
        done: Looks for what an earlier try did whose answer was lost, and gives what ``call`` would, or ``None``. It is
            asked before each further try. It cannot see what is still under way.
        repeatable: Whether it may be made again where it may have been done already.

    Raises:
        GoogleAPICallError: What the last try ended in, or the first that trying again does not mend.
        RequestException: The network's, likewise.
    """
    from google.api_core.exceptions import TooManyRequests
    from google.api_core.retry import exponential_sleep_generator

    waits = exponential_sleep_generator(FIRST_WAIT, LONGEST_WAIT)
    for left in reversed(range(TRIES)):
        try:
            return call()
        except _transient() as error:
            if not left or not (repeatable or isinstance(error, TooManyRequests)):
                raise
        time.sleep(next(waits))
        if done and (found := done()) is not None:
            return found
    raise AssertionError("unreachable")


def finished(operation: Any, max_seconds: float = MAX_SECONDS) -> Any:
    """Waits for a long-running operation.

    Args:
        operation: What the client returned.
        max_seconds: How long to wait.

    Returns:
        The operation's response.

    Raises:
        GoogleAPICallError: What it ended in.
        TimeoutError: It goes on, but is waited for no longer.
    """
    from google.api_core.future.polling import DEFAULT_POLLING
    from google.api_core.retry import Retry, if_exception_type

    again = Retry(
        predicate=if_exception_type(*_transient()), initial=FIRST_WAIT, maximum=LONGEST_WAIT, timeout=max_seconds
    )
    polling = DEFAULT_POLLING.with_delay(initial=FIRST_WAIT, maximum=LONGEST_WAIT).with_timeout(max_seconds)
    return operation.result(retry=again, polling=polling)


def finished_once(start: Callable[[], Any], done: Callable[[], Any | None]) -> Any:
    """Starts a long-running operation and waits for it; a lost answer does not start a second one.

    Args:
        start: Asks for the operation.
        done: As for :func:`retrying`, but gives the operation's response.

    Returns:
        The operation's response.

    Raises:
        GoogleAPICallError: What the request or the operation ended in.
        TimeoutError: It goes on, but is waited for no longer.
    """
    from google.api_core.operation import Operation

    made = retrying(start, done)
    return finished(made) if isinstance(made, Operation) else made


def settle(client: Any, name: str) -> None:
    """Waits until no operation on a resource is under way, whoever started it.

    So what a process that was killed has started, or what a request did whose answer was lost, is seen as done, and is
    not done twice. A request that reaches Vertex AI only after this look is not seen.

    Args:
        client: That of the resource's kind.
        name: The resource's.

    Raises:
        GoogleAPICallError: The operations cannot be listed.
        TimeoutError: One has gone on for :data:`MAX_SECONDS`.
    """
    from google.api_core.retry import exponential_sleep_generator

    end = time.monotonic() + MAX_SECONDS
    for wait in exponential_sleep_generator(FIRST_WAIT, LONGEST_WAIT):
        if not _is_busy(client, name):
            return
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(wait)


def _transient() -> tuple[type[Exception], ...]:
    """What trying again may mend."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    return (
        exceptions.TooManyRequests,
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.ServiceUnavailable,
        exceptions.GatewayTimeout,
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        TransportError,
    )


def _is_busy(client: Any, name: str) -> bool:
    """Whether an operation on a resource is under way."""
    token = ""
    while True:
        request = {"name": name, "page_token": token}
        answer = retrying(functools.partial(client.list_operations, request=request, timeout=TIMEOUT))
        if not all(each.done for each in answer.operations):
            return True
        token = answer.next_page_token
        if not token:
            return False
