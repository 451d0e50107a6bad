"""Serves the REST API over HTTP, in an event loop of its own thread."""

import asyncio
import contextlib
import socket
import threading

import uvloop
from absl import logging
from aiohttp import http_exceptions, web

from serving.errors import Code
from serving.flags import Flags
from serving.protocols.listening import refuse_new
from serving.protocols.rest import HTTP, JSON, Reply, RestApi
from serving.protocols.thread_pool import Workers
from serving.rest_json.values import error_body

ORIGIN = "Origin"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type",
}
TOO_LARGE = 413
BACKLOG = 1024
MOST_BYTES = 1 << 30  # of all bodies that are held at once
DRAIN_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 75.0
ACCEPT_SECONDS = 0.1  # in which the loop accepts what waits
LAST_SECONDS = 5.0  # in which a connection that is kept open may ask once more


class RestServer:
    """An HTTP server around a :class:`serving.protocols.rest.RestApi`."""

    def __init__(self, api: RestApi, flags: Flags) -> None:
        """Makes the server; nothing listens yet."""
        self._api = api
        self._flags = flags
        self._seconds = flags.rest_api_timeout_in_ms / 1000
        self._held = 0
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rest", daemon=True)
        self._listening = self._closing = False

    def start(self) -> None:
        """Listens.

        Raises:
            OSError: The port is taken.
        """
        self._socket = socket.create_server((self._flags.address, self._flags.rest_api_port), backlog=BACKLOG)
        self._socket.setblocking(False)
        self._thread.start()
        self._workers = Workers(self._loop, self._flags.grpc_max_threads, "rest")
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self._listening = True

    def stop(self) -> None:
        """Takes no new connection, answers what is under way, and closes."""
        if not self._listening:
            return
        self._closing = True
        asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result(2 * DRAIN_SECONDS + LAST_SECONDS + 5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._workers.stop()

    async def _listen(self) -> None:
        # Below aiohttp's routes, which a server that has one handler does not need and pays for on each request.
        self._server = _Server(self._handle, access_log=None, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=DRAIN_SECONDS)
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._socket, backlog=BACKLOG)
        await self._site.start()

    async def _drain(self) -> None:
        """Answers the connections that are there, those that wait to be accepted too, once more each."""
        with contextlib.suppress(OSError):  # without a filter a client may be reset in the moment of the close
            refuse_new(self._socket)
        await asyncio.sleep(ACCEPT_SECONDS)
        await self._site.stop()
        end = self._loop.time() + LAST_SECONDS
        while self._server.connections and self._loop.time() < end:
            await asyncio.sleep(0.01)
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        reply = await self._reply(request)
        headers = CORS if self._flags.rest_api_enable_cors_support and ORIGIN in request.headers else {}
        response = web.Response(body=reply.body, status=reply.status, content_type=reply.content_type, headers=headers)
        if self._closing:
            response.force_close()
        return response

    async def _reply(self, request: web.BaseRequest) -> Reply:
        if request.method == "OPTIONS" and self._flags.rest_api_enable_cors_support and ORIGIN in request.headers:
            return Reply(200, b"")
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._seconds):
                await self._read(request, parts)
                size, body = sum(map(len, parts)), parts[0] if len(parts) == 1 else b"".join(parts)
                parts.clear()
                method, path = request.method, request.rel_url.raw_path
                # A call that has begun cannot be ended: it goes on with its body, and its answer is thrown away.
                answer = self._workers.submit(
                    lambda: self._api.answer(method, path, body), lambda: self._give_back(size)
                )
                reply: Reply = await answer
                return reply
        except _RefusedError as error:
            return error.reply
        except (web.RequestPayloadError, http_exceptions.BadHttpMessage) as error:
            return Reply(HTTP[Code.INVALID_ARGUMENT], error_body(f"Request body cannot be read: {error}"))
        except TimeoutError:
            return Reply(HTTP[Code.DEADLINE_EXCEEDED], error_body("Timed out"))
        finally:
            self._give_back(sum(map(len, parts)))

    def _give_back(self, size: int) -> None:
        self._held -= size

    async def _read(self, request: web.BaseRequest, parts: list[bytes]) -> None:
        """Reads a body, unpacked, as long as it and all others together are within their bounds."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        most, size = self._flags.rest_api_max_body_bytes, 0
        while part := await request.content.readany():
            parts.append(part)
            size += len(part)
            self._held += len(part)
            if size > most:
                raise _RefusedError(TOO_LARGE, f"Request body is larger than {most} bytes (--rest_api_max_body_bytes)")
            if self._held > MOST_BYTES:
                raise _RefusedError(
                    HTTP[Code.RESOURCE_EXHAUSTED], f"Bodies of more than {MOST_BYTES} bytes wait; try again"
                )


class _Server(web.Server):
    """aiohttp's, whose connections tell what is no HTTP in TensorFlow Serving's form."""

    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Handler(web.RequestHandler):
    __slots__ = ()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for it
        """Keeps a connection whose client sends no more until its last whole request is answered."""
        is_asked = self._request_count > 0 and (not self._waiter or self._waiter.done())
        self.close()  # after that answer
        try:
            if self._parser:
                self._parser.feed_eof()
        except http_exceptions.HttpProcessingError:  # the request is cut
            return False
        return is_asked

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers with JSON, and logs a line: clients are not to fill the log with traces."""
        logging.warning("Refused %s: %r", request.remote, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has been begun")
        text = str(message or exc).partition("\n")[0]
        response = web.Response(status=status, body=error_body(f"Malformed HTTP: {text}"), content_type=JSON)
        response.force_close()
        return response


class _RefusedError(Exception):
    """A body that is not read to its end."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, error_body(message))
