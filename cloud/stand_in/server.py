"""The HTTP server of the stand-in."""

import dataclasses
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from cloud.stand_in.jobs import CancelJob, Jobs, RunJob
from cloud.stand_in.models import Models
from cloud.stand_in.store import Call, FailingOperation, RefusedError, Request, Resource, Route, Store
from cloud.stand_in.vizier import Vizier

# The client requests operations below "ui".
_PATH = re.compile(r"/(?:v1|v1beta1|ui)/(projects/[^/]+/locations/([^/]+)/(.+))")
BROKEN = 0  # in place of an HTTP status: the connection is closed without a response
# Google's names of HTTP statuses.
_STATUS = {
    BROKEN: "BROKEN",
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "BAD_GATEWAY",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclasses.dataclass
class _Refusal:
    path: re.Pattern[str]
    status: int
    message: str
    remaining: int
    after: bool


class StandIn:
    """A context manager that serves Vertex AI's REST API on a local port.

    Attributes:
        requests: All requests in order, including rejected ones.
    """

    def __init__(
        self, run_job: RunJob = lambda _job: "this stand-in runs no jobs", cancel_job: CancelJob = lambda _name: None
    ) -> None:
        """Prepares the server.

        Args:
            run_job: Executes a custom job, given as JSON, in a thread. Returns an error in one line, or ``None``.
            cancel_job: Ends a running custom job, by its name, so that ``run_job`` returns.
        """
        self.requests: list[Request] = []
        self._store = Store()
        self._jobs = Jobs(self._store, run_job, cancel_job)
        parts = (self._jobs, Models(self._store), Vizier(self._store), self._store)
        self._routes: list[Route] = [route for part in parts for route in part.routes()]
        self._refusals: list[_Refusal] = []

    def __enter__(self) -> Self:
        # Imported here, so that the first request does not wait for it.
        import google.cloud.aiplatform_v1  # noqa: F401

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._jobs.end()

    @property
    def endpoint(self) -> str:
        """Address of the server, for ``VERTEX_API_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def refuse(self, path: str, status: int, times: int = 1, message: str = "", after: bool = False) -> None:
        """Makes the next requests fail.

        Args:
            path: Pattern that is searched in the method and path, such as ``POST projects/p/locations/r/endpoints``.
            status: HTTP status, or :data:`BROKEN`.
            times: Number of requests.
            message: Message of the error.
            after: Whether the requests take effect anyway, as if the response had been lost.
        """
        self._refusals.append(_Refusal(re.compile(path), status, message or _STATUS[status].lower(), times, after))

    def fail(self, verb: str, message: str, code: int = 9, done: bool = False) -> None:
        """Makes the next operation of a kind fail.

        Args:
            verb: Kind of operation, such as ``deployModel``, ``upload`` or ``createEndpoint``.
            message: Message of the error.
            code: gRPC code of the error.
            done: Whether the change takes effect before the operation fails.
        """
        self._store.failing.setdefault(verb, []).append(FailingOperation(message, code, done))

    def delay(self, verb: str, polls: int) -> None:
        """Delays the next operation of a kind. Its change takes effect only at the end.

        Args:
            verb: As for :meth:`fail`.
            polls: How many times the operation is reported as running.
        """
        self._store.slow.setdefault(verb, []).append(polls)

    def resources(self, collection: str) -> list[Resource]:
        """Copies of all resources of a kind, such as ``endpoints``, oldest first."""
        with self._store.lock:
            return json.loads(json.dumps(self._store.children(collection)))

    def change(self, collection: str, **fields: object) -> None:
        """Changes all resources of a kind, as another client would."""
        with self._store.lock:
            for each in self._store.children(collection):
                each.update(fields)

    def respond(self, method: str, url: str, body: Resource) -> tuple[int, bytes]:
        """Handles a request and returns the status and the JSON of the response."""
        try:
            with self._store.lock:
                return 200, json.dumps(self._handle(method, url, body)).encode()
        except RefusedError as error:
            status = error.status
            details = {"code": status, "message": str(error), "status": _STATUS.get(status, "UNKNOWN")}
            return status, json.dumps({"error": details}).encode()

    def _handle(self, method: str, url: str, body: Resource) -> Resource:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        found = _PATH.fullmatch(unquote(parts.path))
        if not found:
            raise RefusedError(404, f"The stand-in does not support {url}.")
        path, region, below = found.groups()
        for known, pattern, message, handler in self._routes:
            match = re.fullmatch(pattern, below) if known == method else None
            if match:
                parsed = _with_enum_names(message, body) if message else body
                self.requests.append(Request(method, path, parsed, query))
                self._check_refusals(f"{method} {path}", after=False)
                # A copy, so that the recorded request does not change with the resource.
                response = handler(Call(region, match.groups(), json.loads(json.dumps(parsed)), query))
                self._check_refusals(f"{method} {path}", after=True)
                return response
        raise RefusedError(404, f"The stand-in does not support {method} {below}.")

    def _check_refusals(self, request: str, after: bool) -> None:
        for refusal in self._refusals:
            if refusal.remaining and refusal.after == after and refusal.path.search(request):
                refusal.remaining -= 1
                raise RefusedError(refusal.status, refusal.message)


def _with_enum_names(message: str, body: Resource) -> Resource:
    """Replaces the numbers of enums, which the client sends, with names.

    Raises:
        RefusedError: The body has a field that the API does not have.
    """
    from google.cloud import aiplatform_v1
    from google.protobuf import json_format

    try:
        parsed = json_format.ParseDict(body, getattr(aiplatform_v1, message).pb()())
    except json_format.ParseError as error:
        raise RefusedError(400, f"Invalid JSON payload received. {error}") from error
    return json_format.MessageToDict(parsed)


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # sends header and body in one packet, since a second one would wait for an acknowledgement

        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body: Any = json.loads(self.rfile.read(length) or b"{}")
            status, content = stand_in.respond(self.command, self.path, body)
            if status == BROKEN:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _respond  # noqa: N815 - the base class names them so

        def log_message(self, *_: object) -> None:
            """Logs nothing, because requests are recorded."""

    return Handler
