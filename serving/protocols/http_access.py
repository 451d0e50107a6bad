"""What happens around each REST request: health checks, tokens, and the access log."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from serving.access.settings import Access
from serving.access.tokens import AUTHORIZATION
from serving.current_call import CURRENT, REQUEST_ID, TRACEPARENT, CurrentCall, new_call
from serving.errors import Code
from serving.protocols.rest import HTTP_STATUS, Response
from serving.rest_json.values import error_body

LIVE, READY = "/livez", "/readyz"
PREFLIGHT = "OPTIONS"  # browsers send these requests without a token
CANCELLED = HTTP_STATUS[Code.CANCELLED]
Respond = Callable[[web.BaseRequest], Awaitable[Response]]


class HttpAccess:
    """Handles the requests that need no model, and passes on the others."""

    def __init__(self, access: Access, health_checks: bool) -> None:
        """Creates the handler.

        Args:
            access: The operator's settings.
            health_checks: Whether ``/livez`` and ``/readyz`` exist.
        """
        self._access = access
        self._health_checks = health_checks

    async def handle(self, request: web.BaseRequest, respond: Respond) -> Response:
        """Handles a request.

        Args:
            request: The request.
            respond: Handles all requests that are allowed and are not health checks.
        """
        if not self._access.log:
            return await self._respond(request, respond)
        headers = request.headers
        call = new_call(headers.getall(REQUEST_ID, []), headers.getall(TRACEPARENT, []))
        token = CURRENT.set(call)
        try:
            response = await self._respond(request, respond)
        except asyncio.CancelledError:  # the client disconnected
            self._log(request, call, Response(CANCELLED, b""))
            raise
        finally:
            CURRENT.reset(token)
        self._log(request, call, response)
        return dataclasses.replace(response, headers=(*response.headers, *call.headers))

    async def _respond(self, request: web.BaseRequest, respond: Respond) -> Response:
        path = request.rel_url.raw_path
        if self._health_checks and path in (LIVE, READY) and request.method in ("GET", "HEAD"):
            return _health(path == LIVE or not self._access.draining.is_set())
        if self._access.tokens.for_all_calls and request.method != PREFLIGHT:
            refusal = self._access.tokens.refusal(request.headers.getall(AUTHORIZATION, []))
            if refusal:
                status = HTTP_STATUS[Code.UNAUTHENTICATED]
                return Response(status, error_body(refusal), headers=(("WWW-Authenticate", "Bearer"),))
        return await respond(request)

    def _log(self, request: web.BaseRequest, call: CurrentCall, response: Response) -> None:
        assert self._access.log
        fields = {
            "protocol": "rest",
            "method": request.method,
            "path": request.rel_url.raw_path,
            "user_agent": request.headers.get("User-Agent", ""),
            "peer": request.remote or "",
            "request_bytes": request.content.total_bytes,
            "status": response.status,
            "response_bytes": len(response.body),
        }
        self._access.log.add(call, fields)


def _health(is_serving: bool) -> Response:
    """Returns the response to a health check. The names are those of gRPC's health service."""
    status = 200 if is_serving else HTTP_STATUS[Code.UNAVAILABLE]
    return Response(status, json.dumps({"status": "SERVING" if is_serving else "NOT_SERVING"}).encode())
