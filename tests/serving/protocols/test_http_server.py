import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from server_process import free_port

from serving.access.settings import read_access
from serving.flags import Flags
from serving.protocols import http_server
from serving.protocols.http_server import RestServer
from serving.protocols.rest import Response

PORT = free_port()


class Echo:
    """Responds with the length of the body."""

    def handle(self, method: str, path: str, body: Sequence[bytes]) -> Response:
        return Response(200, json.dumps(sum(map(len, body))).encode())

    def close(self) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(http_server, "MAX_TOTAL_BYTES", 1000)
    number = free_port()
    flags = Flags(address="127.0.0.1", rest_api_port=number)
    server = RestServer(Echo(), flags, read_access(flags, {}))  # type: ignore[arg-type]
    server.start()
    yield number
    server.stop()


def post(port: int, body: bytes) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/x", body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_half_closed_connection_gets_its_response(port: int) -> None:
    request = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as complete:
        complete.sendall(request + b"12345")
        complete.shutdown(socket.SHUT_WR)
        response = b"".join(iter(lambda: complete.recv(1000), b""))  # until the server closes the connection
    assert response.startswith(b"HTTP/1.1 200")
    assert response.endswith(b"\r\n\r\n5")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as incomplete:
        incomplete.sendall(request + b"123")
        incomplete.shutdown(socket.SHUT_WR)
        assert incomplete.recv(1000) == b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        silent.shutdown(socket.SHUT_WR)
        assert silent.recv(1000) == b""


def test_request_that_waits_is_dropped_when_its_client_closes_the_connection() -> None:
    begun: list[str] = []
    gate = threading.Event()

    class Slow:
        def handle(self, method: str, path: str, body: object) -> Response:
            begun.append(path)
            assert gate.wait(30)
            return Response(200, b"done")

        def close(self) -> None: ...

    def open_connections() -> int:
        return len(server._server.connections)

    def wait_for(check: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not check():
            assert time.monotonic() < end
            time.sleep(0.01)

    flags = Flags(address="127.0.0.1", rest_api_port=free_port(), grpc_max_threads=1)
    server = RestServer(Slow(), flags, read_access(flags, {}))  # type: ignore[arg-type]
    server.start()
    try:
        running = socket.create_connection(("127.0.0.1", flags.rest_api_port), timeout=10)
        running.sendall(b"GET /running HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: begun == ["/running"])
        running.shutdown(socket.SHUT_WR)
        for number in range(5):
            with socket.create_connection(("127.0.0.1", flags.rest_api_port), timeout=10) as gone:
                gone.sendall(b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
                if number % 2:
                    wait_for(lambda: bool(server._pool._waiting))
            wait_for(lambda number=number: server._server.requests_count == number + 2)  # type: ignore[misc]
            wait_for(lambda: open_connections() == 1 and not server._pool._waiting)
        gate.set()
        with running:
            assert b"".join(iter(lambda: running.recv(1000), b"")).endswith(b"done")
        wait_for(lambda: open_connections() == 0)
        assert begun == ["/running"]
    finally:
        gate.set()
        server.stop()


def test_sum_of_bodies_is_limited_and_released(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 901\r\n\r\n" + b"x" * 900)
        deadline = time.monotonic() + 10
        while (response := post(port, b"x" * 200))[0] == 200 and time.monotonic() < deadline:
            time.sleep(0.01)  # until the first body has been read
        assert response == (429, {"error": "Request bodies in memory exceed 1000 bytes; try again later"})
        assert post(port, b"x" * 50) == (200, 50)
        slow.sendall(b"x")
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
    assert post(port, b"x" * 1000) == (200, 1000)
