"""The HTTP server of the REST API, which runs an event loop in a separate thread."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import uvloop
from absl import logging
from aiohttp import http_exceptions, web

from serving.access.call_limit import RETRY_SECONDS
from serving.access.settings import Access
from serving.errors import Code, ServingError
from serving.flags import Flags
from serving.protocols.http_access import HttpAccess
from serving.protocols.rest import HTTP_STATUS, JSON, Response, RestApi, model_of
from serving.protocols.sockets import drop_new_connections
from serving.protocols.thread_pool import ThreadPool
from serving.rest_json.values import error_body

ORIGIN = "Origin"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
}
TOO_LARGE, TOO_MANY = 413, HTTP_STATUS[Code.RESOURCE_EXHAUSTED]
BACKLOG = 1024
PART_BYTES = 1 << 18
MAX_TOTAL_BYTES = 1 << 30  # of all request bodies in memory
DRAIN_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 75.0
ACCEPT_SECONDS = 0.1  # time to accept the connections in the backlog
LAST_REQUEST_SECONDS = 5.0  # time for a kept-alive connection to send a last request


class RestServer:
    """An HTTP server for a :class:`serving.protocols.rest.RestApi`."""

    def __init__(self, api: RestApi, flags: Flags, access: Access) -> None:
        """Creates the server. It does not listen before :meth:`start`."""
        self._api = api
        self._flags = flags
        self._limit = access.limit
        self._tls = access.tls.rest if access.tls else None
        self._access = HttpAccess(access, flags.enable_rest_health_checks)
        # A page of another origin may send a token only if the server allows the header.
        allowed = ", Authorization" if access.tokens.for_all_calls else ""
        self._cors = {**CORS, "Access-Control-Allow-Headers": f"Content-Type{allowed}"}
        self._timeout_seconds = flags.rest_api_timeout_in_ms / 1000
        self._total_bytes = 0
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rest", daemon=True)
        self._listening = self._closing = False

    def start(self) -> None:
        """Opens the port and starts to handle requests.

        Raises:
            OSError: The port is in use.
        """
        self._socket = socket.create_server((self._flags.address, self._flags.rest_api_port), backlog=BACKLOG)
        self._socket.setblocking(False)
        self._thread.start()
        self._pool = ThreadPool(self._loop, self._flags.grpc_max_threads, "rest")
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self._listening = True

    def stop(self) -> None:
        """Accepts no more connections, finishes the running requests and closes the port."""
        if not self._listening:
            return
        self._closing, self._listening = True, False
        timeout = 2 * DRAIN_SECONDS + LAST_REQUEST_SECONDS + 5
        asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result(timeout)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._pool.stop()
        self._api.close()

    async def _listen(self) -> None:
        # Uses aiohttp's low-level server, because a single handler does not need the overhead of its router.
        # A request that waits for a thread is cancelled if its client disconnects.
        self._server = _Server(
            self._handle, handler_cancellation=True, access_log=None, keepalive_timeout=KEEP_ALIVE_SECONDS
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=DRAIN_SECONDS)
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._socket, backlog=BACKLOG, ssl_context=self._tls)
        await self._site.start()

    async def _drain(self) -> None:
        """Accepts the connections in the backlog, and lets each connection send one more request."""
        with contextlib.suppress(OSError):  # without a filter, closing the socket may reset a client
            drop_new_connections(self._socket)
        await asyncio.sleep(ACCEPT_SECONDS)
        await self._site.stop()
        end = self._loop.time() + LAST_REQUEST_SECONDS
        while self._server.connections and self._loop.time() < end:
            await asyncio.sleep(0.01)
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        found = await self._access.handle(request, self._respond)
        headers = dict(found.headers)
        if found.status == TOO_MANY:
            headers["Retry-After"] = str(RETRY_SECONDS)
        if self._flags.rest_api_enable_cors_support and ORIGIN in request.headers:
            headers |= self._cors
        settings: dict[str, Any] = {"status": found.status, "content_type": found.content_type, "headers": headers}
        response: web.StreamResponse
        if isinstance(found.body, bytes):
            response = web.Response(body=found.body, **settings)
        else:
            response = _LargeResponse(found.body, **settings)
        if self._closing:
            response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> Response:
        if request.method == "OPTIONS" and self._flags.rest_api_enable_cors_support and ORIGIN in request.headers:
            return Response(200, b"")
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._read(request, parts)
                size, body = sum(map(len, parts)), tuple(parts)
                parts.clear()
                method, path = request.method, request.rel_url.raw_path
                model = model_of(path)
                if model:
                    self._limit.enter(model)
                # A running call cannot be cancelled. After a timeout it keeps its body, and its result is discarded.
                future = self._pool.submit(
                    lambda: self._api.handle(method, path, body), lambda: self._release(size, model), model
                )
                if self._pool.is_waiting(future, model):
                    _protocol(request).on_eof(lambda: self._pool.is_waiting(future, model) and future.cancel())
                response: Response = await future
                return response
        except ServingError as error:
            self._release(size)
            return Response(HTTP_STATUS[error.code], error_body(error.message))
        except _BodyRejectedError as error:
            return error.response
        except (web.RequestPayloadError, http_exceptions.BadHttpMessage) as error:
            return Response(HTTP_STATUS[Code.INVALID_ARGUMENT], error_body(f"Request body cannot be read: {error}"))
        except TimeoutError:
            return Response(HTTP_STATUS[Code.DEADLINE_EXCEEDED], error_body("Timed out"))
        finally:
            self._release(sum(map(len, parts)))

    def _release(self, size: int, model: str = "") -> None:
        self._total_bytes -= size
        if model:
            self._limit.leave(model)

    async def _read(self, request: web.BaseRequest, parts: list[bytes]) -> None:
        """Reads a body and decompresses it, unless it or the sum of all bodies is too large."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        max_bytes, size = self._flags.rest_api_max_body_bytes, 0
        while part := await request.content.readany():
            parts.append(part)
            size += len(part)
            self._total_bytes += len(part)
            if size > max_bytes:
                text = f"Request body is larger than {max_bytes} bytes (--rest_api_max_body_bytes)"
                raise _BodyRejectedError(TOO_LARGE, text)
            if self._total_bytes > MAX_TOTAL_BYTES:
                text = f"Request bodies in memory exceed {MAX_TOTAL_BYTES} bytes; try again later"
                raise _BodyRejectedError(HTTP_STATUS[Code.RESOURCE_EXHAUSTED], text)


class _LargeResponse(web.StreamResponse):
    """A response that is sent in parts. aiohttp would first copy all of it."""

    def __init__(self, body: memoryview, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.content_type = content_type
        self.content_length = len(body)
        self._content = body

    async def write_eof(self, _data: bytes = b"") -> None:
        """Sends the body. Each part waits until the client has received enough of those before."""
        for start in range(0, len(self._content), PART_BYTES):
            await self.write(self._content[start : start + PART_BYTES])
        await super().write_eof()


class _Server(web.Server):
    """aiohttp's server, with error responses in TensorFlow Serving's format for malformed HTTP."""

    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


def _protocol(request: web.BaseRequest) -> "_Handler":
    protocol = request.protocol
    assert isinstance(protocol, _Handler)
    return protocol


class _Handler(web.RequestHandler):
    __slots__ = ("_is_half_closed", "_on_eof")

    def __init__(self, manager: web.Server, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._is_half_closed = False
        self._on_eof: Callable[[], object] = lambda: None

    def on_eof(self, call: Callable[[], object]) -> None:
        """Sets what to call when the client has closed its side of the connection. That may have happened already."""
        self._on_eof = call
        if self._is_half_closed:
            call()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio expects a bool
        """Keeps a half-closed connection open until its last complete request is answered.

        A request that still waits for a thread is dropped, because a client that has gone looks the same. A TLS
        connection cannot be half-closed.
        """
        self._is_half_closed = True
        self._on_eof()
        has_request = self._request_count > 0 and (not self._waiter or self._waiter.done())
        self.close()  # takes effect after the response
        try:
            if self._parser:
                self._parser.feed_eof()
        except http_exceptions.HttpProcessingError:  # the request is incomplete
            return False
        return has_request and not (self.transport and self.transport.get_extra_info("sslcontext"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Responds with JSON and logs one line. Clients must not be able to fill the log with stack traces."""
        logging.warning("Malformed HTTP from %s: %r", request.remote, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of a response has been sent already")
        text = str(message or exc).partition("\n")[0]
        response = web.Response(status=status, body=error_body(f"Malformed HTTP: {text}"), content_type=JSON)
        response.force_close()
        return response


class _BodyRejectedError(Exception):
    """A body that is too large to be read completely."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = Response(status, error_body(message))
