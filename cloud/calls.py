"""Calls of Google's clients: retries, and long-running operations that are never started twice."""

import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

TIMEOUT = 60.0  # seconds per request, since a lost connection without a timeout blocks forever
MAX_TRIES = 5
# Seconds. Waits are random, up to a bound that doubles from the first value to the second.
FIRST_WAIT, MAX_WAIT = 1.0, 30.0
MAX_OPERATION_SECONDS = 3600.0  # a deployment takes up to half an hour

_Result = TypeVar("_Result")


def with_retries(
    call: Callable[[], _Result], find_result: Callable[[], _Result | None] | None = None, repeatable: bool = True
) -> _Result:
    """Makes a call, and repeats it after a wait if the quota was exceeded (429) or the response was lost.

    A response is lost if the connection broke or timed out, or if the service or a proxy failed (500, 502, 503, 504).
    The request may have taken effect anyway.

    Args:
        call: The call. It is made up to :data:`MAX_TRIES` times.
        find_result: Looks for the result of an earlier try whose response was lost, and returns what ``call`` would, or
            ``None``. Called before each further try. It cannot see a request that is still in progress.
        repeatable: Whether the call may be repeated if it may already have taken effect.

    Raises:
        GoogleAPICallError: The error of the last try, or the first error that a retry does not fix.
        RequestException: Likewise, of the network.
    """
    from google.api_core.exceptions import TooManyRequests
    from google.api_core.retry import exponential_sleep_generator

    waits = exponential_sleep_generator(FIRST_WAIT, MAX_WAIT)
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            return call()
        except _transient_errors() as error:
            if not tries_left or not (repeatable or isinstance(error, TooManyRequests)):
                raise
        time.sleep(next(waits))
        if find_result and (found := find_result()) is not None:
            return found
    raise AssertionError("unreachable")


def wait_for_operation(operation: Any, max_seconds: float = MAX_OPERATION_SECONDS) -> Any:
    """Waits for a long-running operation.

    Args:
        operation: The operation that the client returned.
        max_seconds: How long to wait.

    Returns:
        The operation's response.

    Raises:
        GoogleAPICallError: The operation failed.
        TimeoutError: The operation is still running.
    """
    from google.api_core.future.polling import DEFAULT_POLLING
    from google.api_core.retry import Retry, if_exception_type

    retry = Retry(
        predicate=if_exception_type(*_transient_errors()), initial=FIRST_WAIT, maximum=MAX_WAIT, timeout=max_seconds
    )
    polling = DEFAULT_POLLING.with_delay(initial=FIRST_WAIT, maximum=MAX_WAIT).with_timeout(max_seconds)
    return operation.result(retry=retry, polling=polling)


def run_operation(start: Callable[[], Any], find_result: Callable[[], Any | None]) -> Any:
    """Starts a long-running operation and waits for it. A lost response does not start it a second time.

    Args:
        start: Requests the operation.
        find_result: As for :func:`with_retries`, but returns the operation's response.

    Returns:
        The operation's response.

    Raises:
        GoogleAPICallError: The request or the operation failed.
        TimeoutError: The operation is still running.
    """
    from google.api_core.operation import Operation

    started = with_retries(start, find_result)
    return wait_for_operation(started) if isinstance(started, Operation) else started


def wait_until_idle(client: Any, name: str) -> None:
    """Waits until no operation on a resource is running, whoever started it.

    After that, the effect of an operation that a killed process started, or whose response was lost, can be seen, and
    the operation is not started again. A request that reaches Vertex AI only after this check is not seen.

    Args:
        client: The client for resources of this kind.
        name: Name of the resource.

    Raises:
        GoogleAPICallError: The operations cannot be listed.
        TimeoutError: An operation is still running after :data:`MAX_OPERATION_SECONDS`.
    """
    from google.api_core.retry import exponential_sleep_generator

    end = time.monotonic() + MAX_OPERATION_SECONDS
    for wait in exponential_sleep_generator(FIRST_WAIT, MAX_WAIT):
        if not _is_busy(client, name):
            return
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(wait)


def _transient_errors() -> tuple[type[Exception], ...]:
    """Errors that a retry may fix."""
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
    """Whether an operation on a resource is running."""
    token = ""
    while True:
        request = {"name": name, "page_token": token}
        page = with_retries(functools.partial(client.list_operations, request=request, timeout=TIMEOUT))
        if not all(each.done for each in page.operations):
            return True
        token = page.next_page_token
        if not token:
            return False
