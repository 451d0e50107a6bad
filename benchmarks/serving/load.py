"""Closed-loop load generators that cost little CPU, because they share the cores with the server.

They send prepared bytes and parse a response only as far as needed to find its end. The gRPC client library for Python
takes nearly as long per request as the server, so it would dominate the comparison of two servers.
"""

import selectors
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Client(Protocol):
    """The client side of a protocol on one connection."""

    responses: int

    def first(self) -> bytes:
        """Returns the bytes that open the connection, followed by the first request."""

    def receive(self, data: bytes) -> bytes:
        """Takes received bytes and returns the bytes to send, such as the next request after a response."""


def rest_rate(port: int, path: str, body: bytes, clients: int, seconds: float) -> float:
    """Returns the REST requests per second. Each client has one connection and one request in flight.

    Raises:
        RuntimeError: The server returns an error or closes a connection.
    """
    return _rate(port, lambda: _Http(rest_request(path, body)), clients, seconds)


def grpc_rate(port: int, request: bytes, clients: int, seconds: float) -> float:
    """Returns the gRPC requests per second for a serialized PredictRequest. See :func:`rest_rate`."""
    return _rate(port, lambda: _Grpc(request), clients, seconds)


def rest_request(path: str, body: bytes) -> bytes:
    """Returns the bytes of a POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def rest_get(path: str) -> bytes:
    """Returns the bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


class Connection:
    """A connection with one request in flight."""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)

    def send(self, request: bytes) -> None:
        """Sends a request made by :func:`rest_request` or :func:`rest_get`, and waits for the response."""
        client = _Http(request)
        self._socket.sendall(request)
        while not client.responses:
            client.receive(_received(self._socket))


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise RuntimeError("found a closed connection; expected a response")
    return data


def _rate(port: int, make: Callable[[], Client], count: int, seconds: float) -> float:
    clients = [make() for _ in range(count)]
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for client in clients:
            connection = stack.enter_context(_connected(port))
            selector.register(connection, selectors.EVENT_READ, (connection, client))
            connection.sendall(client.first())
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            for key, _ in selector.select(1):
                connection, client = key.data
                data = client.receive(_received(connection))
                if data:
                    connection.sendall(data)
        return sum(client.responses for client in clients) / (time.perf_counter() - start)


class _Http:
    """HTTP/1.1 (RFC 9112), for responses with a Content-Length."""

    def __init__(self, request: bytes) -> None:
        self._request, self._received, self.responses = request, b"", 0

    def first(self) -> bytes:
        return self._request

    def receive(self, data: bytes) -> bytes:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return b""
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"found the response {self._received[:500]!r}; expected status 200")
        if len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return b""
        self._received = b""
        self.responses += 1
        return self._request


class _Grpc:
    """gRPC over HTTP/2 (RFC 9113), for responses that fit in one frame."""

    DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
    ACK = END_STREAM = 1
    END_HEADERS = 4

    def __init__(self, request: bytes) -> None:
        self._message = b"\0" + struct.pack(">I", len(request)) + request
        # HPACK (RFC 7541): two entries of the static table, then literals that are not added to the dynamic table.
        known = {b"\x04": PREDICT, b"\x01": "bench", b"\x0f\x10": "application/grpc"}  # path, authority, content-type
        self._headers = b"\x83\x86" + b"".join(name + _text(value) for name, value in known.items())
        self._headers += b"\x00" + _text("te") + _text("trailers")
        self._received, self._stream, self._has_data, self.responses = b"", -1, False, 0

    def first(self) -> bytes:
        widest = struct.pack(">I", 2**31 - 1 - 65535)
        opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(self.SETTINGS, 0, 0, b"")
        return opening + _frame(self.WINDOW, 0, 0, widest) + self._next()

    def receive(self, data: bytes) -> bytes:
        self._received += data
        reply = b""
        while len(got := self._received) >= 9 and len(got) >= 9 + (size := int.from_bytes(got[:3], "big")):
            kind, flags, content = got[3], got[4], got[9 : 9 + size]
            self._received = got[9 + size :]
            if kind in (self.SETTINGS, self.PING) and not flags & self.ACK:
                reply += _frame(kind, self.ACK, 0, content if kind == self.PING else b"")
            elif kind in (self.RESET, self.GO_AWAY):
                raise RuntimeError(f"found a frame of type {kind}, {content!r}; expected a response")
            elif kind == self.DATA:
                self._has_data = True
            elif kind == self.HEADERS and flags & self.END_STREAM:
                if not self._has_data:  # an error has only trailers
                    raise RuntimeError(f"found only the trailers {content!r}; expected a message before them")
                self.responses += 1
                reply += self._next()
        return reply

    def _next(self) -> bytes:
        self._stream += 2
        self._has_data = False
        head = _frame(self.HEADERS, self.END_HEADERS, self._stream, self._headers)
        return head + _frame(self.DATA, self.END_STREAM, self._stream, self._message)


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + content


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()
