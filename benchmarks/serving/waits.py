"""Measures how long requests of the embedded server wait for each other."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.serving import large_messages
from benchmarks.serving.large_messages import fill_body, seconds, slowest_requests, total_body
from benchmarks.serving.load import PREDICT, Connection, rest_get, rest_request
from benchmarks.serving.model import NAME
from benchmarks.serving.servers import ADDRESS, Ports
from benchmarks.targets import Target, print_table

TOTAL_PATH = f"/v1/models/{NAME}:predict"
EXPIRED, DEADLINE_SECONDS, CLIENTS, ALONE_SECONDS = 64, 1.0, 8, 3.0
# Without a target: gRPC's library copies a message that it receives twice, with Python's lock.
GRPC_BODY = "a 60 MB gRPC body"
MAX_STALL, MAX_WAIT, MAX_COLD = 0.05, 0.5, 1.5


@dataclasses.dataclass(frozen=True)
class Small:
    """A small request to the model that a user would serve.

    Attributes:
        path: Its path over REST.
        body: Its body over REST.
        request: The same over gRPC.
    """

    path: str
    body: bytes
    request: predict_pb2.PredictRequest

    def senders(self, ports: Ports) -> dict[str, Callable[[], object]]:
        """Returns functions that send it over either protocol, and one that asks for the model's status."""
        connection, request = Connection(ports.rest), rest_request(self.path, self.body)
        status = rest_get(self.path.partition(":")[0])
        stub = _stub(ports)
        return {
            "REST": lambda: connection.send(request),
            "gRPC": lambda: stub.Predict(self.request),
            "status": lambda: connection.send(status),
        }


def during_large_messages(ports: Ports, small: Small) -> list[Target]:
    """Measures the slowest small request and status request while large messages pass."""
    fill = _request("fill", n=np.array([2_000_000]))
    total = _request("total", x=np.ones(15_000_000, np.float32))
    messages: dict[str, tuple[str, int, str, bytes, int]] = {
        "a 26 MB reply": (large_messages.REST, ports.rest, TOTAL_PATH, fill_body(), 3),
        "an 8 MB gRPC reply": (large_messages.GRPC, ports.grpc, PREDICT, fill.SerializeToString(), 20),
        "a 60 MB body": (large_messages.REST, ports.rest, TOTAL_PATH, total_body(), 3),
        GRPC_BODY: (large_messages.GRPC, ports.grpc, PREDICT, total.SerializeToString(), 5),
    }
    senders, targets = small.senders(ports), []
    end = time.monotonic() + ALONE_SECONDS
    alone = dict.fromkeys(senders, 0.0)
    while time.monotonic() < end:
        alone = {name: max(alone[name], seconds(send)) for name, send in senders.items()}
    rows = {"nothing, for comparison": _texts(alone)}
    with tempfile.TemporaryDirectory() as folder:
        for name, (protocol, port, path, message, repeats) in messages.items():
            file = Path(folder) / "message"
            file.write_bytes(message)
            slowest = slowest_requests([protocol, str(port), path, str(file), str(repeats)], senders)
            rows[name] = _texts(slowest)
            if name != GRPC_BODY:
                targets.append(
                    Target(f"slowest small request during {name}, s", max(slowest.values()), MAX_STALL, True)
                )
    print_table("slowest small requests during", rows)
    return targets


def after_a_cold_start(ports: Ports) -> list[Target]:
    """Compares the first concurrent requests to a model with the next ones. The server merges them."""
    body = b'{"signature_name": "slow", "inputs": [1.0]}'
    connections = [Connection(ports.rest) for _ in range(CLIENTS)]
    request = rest_request(TOTAL_PATH, body)

    def together() -> float:
        with ThreadPoolExecutor(CLIENTS) as pool:
            start = time.perf_counter()
            list(pool.map(lambda connection: connection.send(request), connections))
            return time.perf_counter() - start

    cold, warm = together(), min(together() for _ in range(3))
    print_table(f"{CLIENTS} concurrent slow requests, batching", {"cold": f"{cold:.2f} s", "warm": f"{warm:.2f} s"})
    return [Target(f"{CLIENTS} cold requests / {CLIENTS} warm ones, batching", cold / warm, MAX_COLD, at_most=True)]


def after_expired_requests(ports: Ports, small: Small) -> list[Target]:
    """Measures a quick request after many slow ones to another model, whose deadlines have passed."""
    senders, stub, slow = small.senders(ports), _stub(ports), _request("slow", x=np.ones(1, np.float32))
    calls = [stub.Predict.future(slow, timeout=DEADLINE_SECONDS) for _ in range(EXPIRED)]
    expired = sum(call.exception().code() == grpc.StatusCode.DEADLINE_EXCEEDED for call in calls if call.exception())
    waits = {name: seconds(send) for name, send in senders.items()}
    print_table(f"next request after {expired} expired ones", {name: f"{wait:.3f} s" for name, wait in waits.items()})
    return [Target(f"wait after {expired} expired requests, s", max(waits.values()), MAX_WAIT, at_most=True)]


def _texts(slowest: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {1e3 * each:.0f} ms" for name, each in slowest.items())


def _stub(ports: Ports) -> Any:
    channel = grpc.insecure_channel(f"{ADDRESS}:{ports.grpc}")
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _request(signature: str, **inputs: np.ndarray[Any, Any]) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = NAME, signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return request
