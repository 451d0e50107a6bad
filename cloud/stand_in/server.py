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

# The client looks for operations below "ui".
_PATH = re.compile(r"/(?:v1|v1beta1|ui)/(projects/[^/]+/locations/([^/]+)/(.+))")
BROKEN = 0  # in the place of HTTP's number: the connection ends without an answer
# How Google names what HTTP numbers.
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
    left: int
    after: bool


class StandIn:
    """Vertex AI's REST API on a port of this machine, while the block lasts.

    Attributes:
        requests: What was asked, in order, that which was refused too.
    """

    def __init__(
        self, run_job: RunJob = lambda _job: "this stand-in runs no jobs", cancel_job: CancelJob = lambda _name: None
    ) -> None:
        """Prepares a server.

        Args:
            run_job: Executes a custom job, in a thread: the resource as JSON; its error line, or ``None``.
            cancel_job: Ends a custom job that is running, by its name; ``run_job`` then returns.
        """
        self.requests: list[Request] = []
        self._store = Store()
        self._jobs = Jobs(self._store, run_job, cancel_job)
        parts = (self._jobs, Models(self._store), Vizier(self._store), self._store)
        self._routes: list[Route] = [route for part in parts for route in part.routes()]
        self._refusals: list[_Refusal] = []

    def __enter__(self) -> Self:
        # Here, not in the first request, which would wait for it.
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
        """The server's address, for ``VERTEX_API_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def refuse(self, path: str, status: int, times: int = 1, message: str = "", after: bool = False) -> None:
        """Answers the next requests with an error.

        Args:
            path: A pattern that is looked for in ``POST projects/p/locations/r/endpoints``.
            status: HTTP's number, or :data:`BROKEN`.
            times: How many requests.
            message: What the error says.
            after: Whether what they ask for is done all the same, as if the answer had been lost.
        """
        self._refusals.append(_Refusal(re.compile(path), status, message or _STATUS[status].lower(), times, after))

    def fail(self, verb: str, message: str, code: int = 9, done: bool = False) -> None:
        """Lets the next operation of a kind end in an error.

        Args:
            verb: Such as ``deployModel``, ``upload`` or ``createEndpoint``.
            message: What the error says.
            code: gRPC's number of it.
            done: Whether what was asked for is done before it fails.
        """
        self._store.failing.setdefault(verb, []).append(FailingOperation(message, code, done))

    def delay(self, verb: str, looks: int) -> None:
        """Lets the next operation of a kind be under way for a while, and do what it is for only then.

        Args:
            verb: As for :meth:`fail`.
            looks: How often it is found under way.
        """
        self._store.slow.setdefault(verb, []).append(looks)

    def resources(self, collection: str) -> list[Resource]:
        """What there is of a kind, such as ``endpoints``, from the oldest."""
        with self._store.lock:
            return json.loads(json.dumps(self._store.children(collection)))

    def change(self, collection: str, **fields: object) -> None:
        """Changes all that there is of a kind, as if another had."""
        with self._store.lock:
            for each in self._store.children(collection):
                each.update(fields)

    def answer(self, method: str, url: str, body: Resource) -> tuple[int, bytes]:
        """The status and the JSON that a request is answered with."""
        try:
            with self._store.lock:
                return 200, json.dumps(self._answer(method, url, body)).encode()
        except RefusedError as error:
            status = error.status
            said = {"code": status, "message": str(error), "status": _STATUS.get(status, "UNKNOWN")}
            return status, json.dumps({"error": said}).encode()

    def _answer(self, method: str, url: str, body: Resource) -> Resource:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        found = _PATH.fullmatch(unquote(parts.path))
        if not found:
            raise RefusedError(404, f"The stand-in does not know {url}.")
        path, region, below = found.groups()
        for known, pattern, message, handler in self._routes:
            match = re.fullmatch(pattern, below) if known == method else None
            if match:
                asked = _by_name(message, body) if message else body
                self.requests.append(Request(method, path, asked, query))
                self._check_refusals(f"{method} {path}", after=False)
                # What is handed out must not change with what was sent.
                answer = handler(Call(region, match.groups(), json.loads(json.dumps(asked)), query))
                self._check_refusals(f"{method} {path}", after=True)
                return answer
        raise RefusedError(404, f"The stand-in does not know {method} {below}.")

    def _check_refusals(self, asked: str, after: bool) -> None:
        for refusal in self._refusals:
            if refusal.left and refusal.after == after and refusal.path.search(asked):
                refusal.left -= 1
                raise RefusedError(refusal.status, refusal.message)


def _by_name(message: str, body: Resource) -> Resource:
    """The body with enumerations by name, where the client sends numbers.

    Raises:
        RefusedError: It has a field that the API does not know.
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
        wbufsize = -1  # head and body in one packet; in two, the second waits for the first's acknowledgement

        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body: Any = json.loads(self.rfile.read(length) or b"{}")
            status, content = stand_in.answer(self.command, self.path, body)
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
            """Says nothing; requests are recorded."""

    return Handler
