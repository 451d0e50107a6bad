"""The call that the current thread or task handles, for the logs: its ID, its trace context, what it asks for.

The trace context is the header ``traceparent`` of https://www.w3.org/TR/trace-context/.
"""

import dataclasses
import re
import secrets
import time
from collections.abc import Sequence
from contextvars import ContextVar

REQUEST_ID, TRACEPARENT = "x-request-id", "traceparent"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Version, trace ID, parent ID and flags. Later versions may have more fields.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-[\x21-\x7e]*)?"
)
MAX_TRACEPARENT = 256


@dataclasses.dataclass
class CurrentCall:
    """A call.

    Attributes:
        request_id: Its ID.
        traceparent: Its trace context.
        model: The model that handles it, once that is known.
        version: The version of the model.
        signatures: Keys of the signatures that it asks for.
        arrival: When it arrived, in seconds since 1970.
        start: The same as a value of ``time.perf_counter``.
    """

    request_id: str
    traceparent: str
    model: str = ""
    version: int = 0
    signatures: Sequence[str] = ()
    arrival: float = dataclasses.field(default_factory=time.time)
    start: float = dataclasses.field(default_factory=time.perf_counter)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers or metadata that the reply returns."""
        return ((REQUEST_ID, self.request_id), (TRACEPARENT, self.traceparent))


CURRENT: ContextVar[CurrentCall | None] = ContextVar("current_call", default=None)


def new_call(request_ids: Sequence[str], traceparents: Sequence[str]) -> CurrentCall:
    """Returns a call with the ID and the trace context that the client sent. New ones replace invalid or absent ones.

    Args:
        request_ids: All values of the header ``x-request-id``.
        traceparents: All values of the header ``traceparent``.

    >>> call = new_call(["a-1"], ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
    >>> call.request_id, call.traceparent
    ('a-1', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')
    >>> len(new_call([], ["00-4BF9-00f0-01"]).traceparent)
    55
    """
    is_known = len(request_ids) == 1 and _REQUEST_ID.fullmatch(request_ids[0])
    is_traced = len(traceparents) == 1 and _is_traceparent(traceparents[0])
    return CurrentCall(
        request_ids[0] if is_known else secrets.token_hex(16),
        traceparents[0] if is_traced else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00",
    )


def _is_traceparent(text: str) -> bool:
    found = _TRACEPARENT.fullmatch(text) if len(text) <= MAX_TRACEPARENT else None
    return bool(found and not (found["version"] == "00" and found["more"]))
