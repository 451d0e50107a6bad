"""Clients that ask a server as fast as it answers, and cost little themselves: it runs on the same cores."""

import asyncio
import contextlib
import selectors
import socket
import time

import grpc

PREDICT = "/tensorflow.serving.PredictionService/Predict"
END_OF_HEAD, LENGTH = b"\r\n\r\n", b"content-length:"


def rest_rate(port: int, path: str, body: bytes, clients: int, seconds: float) -> float:
    """Requests a second over as many connections, each of which asks again once it is answered.

    Raises:
        RuntimeError: An answer has another status than 200.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    answered = 0
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(clients):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, (connection, bytearray()))
            connection.sendall(request)
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            for key, _ in selector.select(1):
                connection, answer = key.data
                answer += connection.recv(1 << 20)
                if _is_whole(answer):
                    answered += 1
                    answer.clear()
                    connection.sendall(request)
        return answered / (time.perf_counter() - start)


def grpc_rate(port: int, request: bytes, clients: int, seconds: float) -> float:
    """Requests a second over as many channels, each of which asks again once it is answered."""
    return asyncio.run(_grpc_rate(port, request, clients, seconds))


async def _grpc_rate(port: int, request: bytes, clients: int, seconds: float) -> float:
    options = [("grpc.use_local_subchannel_pool", 1)]  # else all channels share one connection
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(clients)]
    start = time.perf_counter()

    async def ask(channel: grpc.aio.Channel) -> int:
        call, answered = channel.unary_unary(PREDICT), 0
        while time.perf_counter() < start + seconds:
            await call(request)
            answered += 1
        return answered

    answered = await asyncio.gather(*map(ask, channels))
    rate = sum(answered) / (time.perf_counter() - start)
    for channel in channels:
        await channel.close()
    return rate


def _is_whole(answer: bytearray) -> bool:
    head = answer.find(END_OF_HEAD)
    if head < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"found the answer {bytes(answer[:500])!r}; expected status 200")
    length = answer[:head].lower().partition(LENGTH)[2].partition(b"\r\n")[0]
    return len(answer) >= head + len(END_OF_HEAD) + int(length)
