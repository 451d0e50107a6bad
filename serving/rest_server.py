"""Serves the REST API over HTTP, in an event loop of its own thread."""

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from aiohttp import http_exceptions, web

from serving.errors import Code
from serving.flags import Flags
from serving.json_values import error_body
from serving.rest import HTTP, JSON, Reply, RestApi

ORIGIN = "Origin"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type",
}
TOO_LARGE = 413
BACKLOG = 1024
DRAIN_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 75.0
LAST_SECONDS = 2.0  # in which a connection that is kept open may ask once more


class RestServer:
    """An HTTP server around a :class:`serving.rest.RestApi`."""

    def __init__(self, api: RestApi, flags: Flags) -> None:
        """Makes the server; nothing listens yet."""
        self._api = api
        self._flags = flags
        self._workers = ThreadPoolExecutor(flags.grpc_max_threads, "rest")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rest", daemon=True)
        app = web.Application(client_max_size=flags.rest_api_max_body_bytes)
        app.router.add_route("*", "/{path:(?s:.*)}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=DRAIN_SECONDS, keepalive_timeout=KEEP_ALIVE_SECONDS
        )
        self._closing = False

    def start(self) -> None:
        """Listens.

        Raises:
            OSError: The port is taken.
        """
        self._socket = socket.create_server((self._flags.address, self._flags.rest_api_port), backlog=BACKLOG)
        self._socket.setblocking(False)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def stop(self) -> None:
        """Takes no new connection, answers what is under way, and closes."""
        if not self._thread.is_alive():
            return
        self._closing = True
        asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result(2 * DRAIN_SECONDS + LAST_SECONDS + 5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._workers.shutdown(wait=False)

    async def _listen(self) -> None:
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._socket, backlog=BACKLOG)
        await self._site.start()

    async def _drain(self) -> None:
        """Answers the connections that are there, those that wait to be accepted too, once more each."""
        waiting = []
        with contextlib.suppress(OSError):  # none waits, or there is no room for one
            while True:
                waiting.append(self._socket.accept()[0])
        await self._site.stop()
        server = self._runner.server
        assert server is not None
        for connection in waiting:
            await self._loop.connect_accepted_socket(server, connection)
        end = self._loop.time() + LAST_SECONDS
        while server.connections and self._loop.time() < end:
            await asyncio.sleep(0.01)
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        reply = await self._reply(request)
        headers = CORS if self._flags.rest_api_enable_cors_support and ORIGIN in request.headers else {}
        response = web.Response(body=reply.body, status=reply.status, content_type=reply.content_type, headers=headers)
        if self._closing:
            response.force_close()
        return response

    async def _reply(self, request: web.Request) -> Reply:
        if request.method == "OPTIONS" and self._flags.rest_api_enable_cors_support and ORIGIN in request.headers:
            return Reply(200, b"")
        seconds = self._flags.rest_api_timeout_in_ms / 1000
        try:
            body = await asyncio.wait_for(request.read(), seconds)
            answer = self._loop.run_in_executor(
                self._workers, self._api.answer, request.method, request.rel_url.raw_path, body
            )
            # A call that has begun cannot be ended: it goes on, and its answer is thrown away.
            return await asyncio.wait_for(answer, seconds)
        except web.HTTPRequestEntityTooLarge:
            most = self._flags.rest_api_max_body_bytes
            return Reply(TOO_LARGE, error_body(f"Request body is larger than {most} bytes (--rest_api_max_body_bytes)"))
        except (web.RequestPayloadError, http_exceptions.BadHttpMessage) as error:
            return Reply(HTTP[Code.INVALID_ARGUMENT], error_body(f"Request body cannot be read: {error}"))
        except TimeoutError:
            return Reply(HTTP[Code.DEADLINE_EXCEEDED], error_body("Timed out"), JSON)
