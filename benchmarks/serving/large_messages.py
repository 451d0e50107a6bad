"""Measures how long small requests wait while large messages pass.

As a program, ``python -m benchmarks.serving.large_messages PROTOCOL PORT PATH FILE REPEATS`` sends the content of a
file to a server, because the process that measures must not wait for these bytes itself.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc

GRPC, REST = "grpc", "rest"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def slowest_requests(sender: list[str], small: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Returns the longest duration of each small request in seconds, while large messages pass one after the other.

    Args:
        sender: Arguments of the program that sends the large messages.
        small: Functions that send a small request, by name. They take turns.

    Raises:
        RuntimeError: A large message failed.
    """
    command = [sys.executable, "-m", "benchmarks.serving.large_messages", *sender]
    slowest = dict.fromkeys(small, 0.0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin
        assert process.stdout
        process.stdout.readline()  # it is ready
        print("start", file=process.stdin, flush=True)
        while process.poll() is None:
            for name, send in small.items():
                slowest[name] = max(slowest[name], seconds(send))
    if process.returncode:
        raise RuntimeError(f"{' '.join(sender)}: exited with code {process.returncode}")
    return slowest


def seconds(send: Callable[[], object]) -> float:
    """Returns the duration of a call."""
    start = time.perf_counter()
    send()
    return time.perf_counter() - start


def total_body() -> bytes:
    """Returns a request of 60 MB, with a short reply, for the model of :mod:`benchmarks.serving.model`."""
    return json.dumps({"signature_name": "total", "inputs": [0.12345678, 1.2345678] * 2_650_000}).encode()


def fill_body() -> bytes:
    """Returns a request with a reply of 26 MB."""
    return json.dumps({"signature_name": "fill", "inputs": [2_050_000]}).encode()


def main(protocol: str, port: str, path: str, file: str, repeats: str) -> None:
    """Sends a message once, waits until it can read a line, and sends the message as often as it should."""
    message = Path(file).read_bytes()
    send = _grpc_sender(int(port), path) if protocol == GRPC else _rest_sender(int(port), path)
    send(message)  # the first one may start a process
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(repeats)):
        send(message)


def _grpc_sender(port: int, method: str) -> Callable[[bytes], object]:
    # Without serializers, it takes and returns bytes.
    call: Callable[[bytes], object] = grpc.insecure_channel(f"127.0.0.1:{port}", UNLIMITED).unary_unary(method)
    return call


def _rest_sender(port: int, path: str) -> Callable[[bytes], object]:
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def send(body: bytes) -> None:
        connection.request("POST", path, body)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(content[:500])

    return send


if __name__ == "__main__":
    main(*sys.argv[1:])
