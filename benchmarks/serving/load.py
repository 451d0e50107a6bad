"""Clients that ask a server as fast as it answers, and cost little themselves: it runs on the same cores.

They send bytes that were made beforehand and read no more of an answer than where it ends. A gRPC client in Python
takes nearly as long for a request as the server, and the ratio of two servers would be that of the same client twice.
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
    """One connection's side of a protocol."""

    def first(self) -> bytes:
        """What opens the connection, and the first request."""

    def take(self, data: bytes) -> bytes:
        """What has to be sent after what has come; the next request once the last one is answered."""

    answered: int


def rest_rate(port: int, path: str, body: bytes, clients: int, seconds: float) -> float:
    """Requests a second over as many connections, each of which asks again once it is answered.

    Raises:
        RuntimeError: A request is not answered with what it asked for.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return _rate(port, lambda: _Http(head.encode() + body), clients, seconds)


def grpc_rate(port: int, request: bytes, clients: int, seconds: float) -> float:
    """The same over gRPC, with a serialized PredictRequest; raises as :func:`rest_rate` does."""
    return _rate(port, lambda: _Grpc(request), clients, seconds)


def rest_request(path: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One client that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)

    def ask(self, request: bytes) -> None:
        """Sends what :func:`rest_request` made, and waits until it is answered."""
        client = _Http(request)
        self._socket.sendall(request)
        while not client.answered:
            client.take(_received(self._socket))


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise RuntimeError("found a closed connection; expected an answer")
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
                reply = client.take(_received(connection))
                if reply:
                    connection.sendall(reply)
        return sum(client.answered for client in clients) / (time.perf_counter() - start)


class _Http:
    """HTTP/1.1, as RFC 9112 has it, of answers that tell their length."""

    def __init__(self, request: bytes) -> None:
        self._request, self._got, self.answered = request, b"", 0

    def first(self) -> bytes:
        return self._request

    def take(self, data: bytes) -> bytes:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return b""
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"found the answer {self._got[:500]!r}; expected status 200")
        if len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return b""
        self._got = b""
        self.answered += 1
        return self._request


class _Grpc:
    """gRPC over HTTP/2, as RFC 9113 and gRPC's protocol have it, of answers that fit into a frame."""

    DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
    ACK = END_STREAM = 1
    END_HEADERS = 4

    def __init__(self, request: bytes) -> None:
        self._message = b"\0" + struct.pack(">I", len(request)) + request
        # Two names and values of HPACK's table (RFC 7541), then literals that are not to be remembered.
        known = {b"\x04": PREDICT, b"\x01": "bench", b"\x0f\x10": "application/grpc"}  # path, authority, content-type
        self._headers = b"\x83\x86" + b"".join(name + _text(value) for name, value in known.items())
        self._headers += b"\x00" + _text("te") + _text("trailers")
        self._got, self._stream, self._has_data, self.answered = b"", -1, False, 0

    def first(self) -> bytes:
        widest = struct.pack(">I", 2**31 - 1 - 65535)
        opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(self.SETTINGS, 0, 0, b"")
        return opening + _frame(self.WINDOW, 0, 0, widest) + self._next()

    def take(self, data: bytes) -> bytes:
        self._got += data
        reply = b""
        while len(self._got) >= 9 and len(self._got) >= 9 + (size := int.from_bytes(self._got[:3], "big")):
            kind, flags, content = self._got[3], self._got[4], self._got[9 : 9 + size]
            self._got = self._got[9 + size :]
            if kind in (self.SETTINGS, self.PING) and not flags & self.ACK:
                reply += _frame(kind, self.ACK, 0, content if kind == self.PING else b"")
            elif kind in (self.RESET, self.GO_AWAY):
                raise RuntimeError(f"found a frame of type {kind}, {content!r}; expected an answer")
            elif kind == self.DATA:
                self._has_data = True
            elif kind == self.HEADERS and flags & self.END_STREAM:
                if not self._has_data:  # an error has trailers alone
                    raise RuntimeError(f"found the trailers {content!r}; expected an answer before them")
                self.answered += 1
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
