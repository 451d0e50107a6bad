"""Interceptors of all gRPC calls: one refuses calls without a token, one writes the access log."""

from collections.abc import Callable
from typing import Any

import grpc

from serving.access.access_log import AccessLog
from serving.access.settings import Access
from serving.access.tokens import AUTHORIZATION, Tokens
from serving.current_call import CURRENT, REQUEST_ID, TRACEPARENT, CurrentCall, new_call
from serving.errors import Code

HEALTH = "/grpc.health.v1.Health/"  # probes of an orchestrator cannot send a token
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
Continuation = Callable[[grpc.HandlerCallDetails], Any]


def interceptors(access: Access) -> list[grpc.ServerInterceptor]:
    """Returns the interceptors that the settings need. The first one is the outermost."""
    log = [_AccessLogInterceptor(access.log)] if access.log else []
    return [*log, *([_TokenInterceptor(access.tokens)] if access.tokens.for_changes else [])]


class _TokenInterceptor(grpc.ServerInterceptor):
    """Refuses calls without an accepted token, before their message is read."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        if method == RELOAD or (self._tokens.for_all_calls and not method.startswith(HEALTH)):
            refusal = self._tokens.refusal(_values(handler_call_details, AUTHORIZATION))
            if refusal:
                return _refusing(refusal)
        return continuation(handler_call_details)


class _AccessLogInterceptor(grpc.ServerInterceptor):
    """Writes the access log, and returns the call's ID and trace context."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log

    def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        details = handler_call_details
        call = new_call(_values(details, REQUEST_ID), _values(details, TRACEPARENT))
        CURRENT.set(call)  # gRPC runs the interceptors and the method in the same context
        handler = continuation(details)
        if handler is None:  # there is no such method
            return None
        kind = next(name for name in KINDS if getattr(handler, name))
        logged = _LoggedCall(self._log, call, details, getattr(handler, kind), handler.response_serializer)
        return handler._replace(**{kind: logged.behave}, response_serializer=logged.serialize)


class _LoggedCall:
    """A call that is logged when it ends: when its reply is sent, its deadline passes, or its client disconnects."""

    def __init__(
        self, log: AccessLog, call: CurrentCall, details: grpc.HandlerCallDetails, method: Any, serializer: Any
    ) -> None:
        self._log = log
        self._call = call
        self._method = method
        self._serializer = serializer
        self._fields: dict[str, Any] = {"protocol": "grpc", "path": details.method}
        self._fields["user_agent"] = " ".join(_values(details, "user-agent"))
        self._response_bytes = 0
        self._returned = False

    def behave(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Runs the method."""
        self._fields["peer"] = context.peer()
        self._fields["request_bytes"] = len(request) if isinstance(request, bytes) else 0
        context.set_trailing_metadata(self._call.headers)
        context.send_initial_metadata(self._call.headers)
        if not context.add_callback(lambda: self._end(context)):
            self._end(context)
        try:
            return self._method(request, context)
        finally:
            self._returned = True

    def serialize(self, response: Any) -> bytes:
        """Serializes a response."""
        serialized: bytes = self._serializer(response) if self._serializer else response
        self._response_bytes += len(serialized)
        return serialized

    def _end(self, context: grpc.ServicerContext) -> None:
        code = context.code()
        if code is None and not self._returned:
            remaining = context.time_remaining()
            code = Code.DEADLINE_EXCEEDED if remaining is not None and remaining <= 0 else Code.CANCELLED
        status = (code or Code.OK).name
        self._log.add(self._call, {**self._fields, "status": status, "response_bytes": self._response_bytes})


def add_trailing_metadata(context: grpc.ServicerContext, *pairs: tuple[str, str]) -> None:
    """Adds to the metadata at the end of a reply. gRPC's own method replaces it."""
    context.set_trailing_metadata((*(context.trailing_metadata() or ()), *pairs))


def _refusing(reason: str) -> Any:
    def refuse(_requests: Any, context: grpc.ServicerContext) -> Any:
        context.abort(Code.UNAUTHENTICATED, reason)

    # A method of this kind starts before a message has arrived, and serves all kinds of calls.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _values(details: grpc.HandlerCallDetails, name: str) -> list[str]:
    return [value for key, value in details.invocation_metadata or () if key == name and isinstance(value, str)]
