"""A limit of the calls per model, over both protocols together."""

import threading

from serving.errors import Code, ServingError

RETRY_SECONDS = 1  # what a client is advised to wait before it tries again


class CallLimit:
    """Counts the calls of each model that run or wait. A call counts until it ends, even if its client is gone."""

    def __init__(self, max_calls: int) -> None:
        """Creates the limit.

        Args:
            max_calls: Maximum number of calls per model. 0 means no limit.
        """
        self._max_calls = max_calls
        self._lock = threading.Lock()
        self._calls: dict[str, int] = {}

    def enter(self, model: str) -> None:
        """Counts a call. :meth:`leave` ends it.

        Raises:
            ServingError: The model has as many calls as it may have. The call was not counted.
        """
        if not self._max_calls:
            return
        with self._lock:
            count = self._calls.get(model, 0)
            if count >= self._max_calls:
                text = f"model {model} has {count} calls already (--max_calls_per_model); try again later"
                raise ServingError(Code.RESOURCE_EXHAUSTED, text)
            self._calls[model] = count + 1

    def leave(self, model: str) -> None:
        """Ends a call."""
        if not self._max_calls:
            return
        with self._lock:
            self._calls[model] -= 1
            if not self._calls[model]:
                del self._calls[model]
