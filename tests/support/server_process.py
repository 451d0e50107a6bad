"""A server in a process of its own, as a user starts it, and clients of both protocols."""

import dataclasses
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tiny_models import write_model

from serving.flags import parse
from serving.server import ModelServer

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclasses.dataclass
class Client:
    """What asks a server over its ports.

    Attributes:
        port: gRPC's.
        rest_port: REST's.
        log: What the server says.
    """

    port: int
    rest_port: int
    log: Path

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def rest(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of one request over a connection of its own."""
        status, answer, _ = self.rest_headers(method, path, body, **headers)
        return status, answer

    def rest_headers(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one request whose body is JSON too."""
        status, answer = self.rest(method, path, None if body is None else json.dumps(body))
        return status, json.loads(answer)

    def predict(self, model: str = "tiny", values: tuple[float, ...] = (1.0,), **spec: Any) -> list[float]:
        """Asks the default signature over gRPC."""
        response = self.prediction.Predict(predict_request(model, np.array(values, np.float32), **spec), timeout=30)
        return list(response.outputs["y"].float_val)

    def states(self, model: str = "tiny") -> dict[int, str]:
        """State by version."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        found = self.models.GetModelStatus(request, timeout=30).model_version_status
        names = get_model_status_pb2.ModelVersionStatus.State.Name
        return {each.version: names(each.state) for each in found}

    def wait_for(self, check: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until a check holds; an error of gRPC is no."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if check():
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log.read_text()[-4000:])


@dataclasses.dataclass
class Server(Client):
    """A server in a process of its own."""

    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Ends it as an orchestrator does, and returns its exit code."""
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def predict_request(
    model: str, array: np.ndarray[Any, Any], name: str = "x", **spec: Any
) -> predict_pb2.PredictRequest:
    """A request of one input; ``spec`` sets fields of the model spec."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for key, value in spec.items():
        if key == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, key, value)
    request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return request


def launch(folder: Path, *flags: str) -> Server:
    """Starts a server; the ports answer later."""
    port, rest_port = free_port(), free_port()
    log = folder / f"server-{port}.log"
    command = [sys.executable, "-m", "serving", f"--port={port}", f"--rest_api_port={rest_port}", "--address=127.0.0.1"]
    with log.open("w") as file:
        process = subprocess.Popen([*command, *flags], stdout=file, stderr=file, text=True, cwd=ROOT)
    return Server(port, rest_port, log, process)


def started(server: Server) -> Server:
    """Waits until the REST port answers."""

    def answers() -> bool:
        if server.process.poll() is not None:
            raise AssertionError(server.log.read_text()[-4000:])
        try:
            return server.rest("GET", "/")[0] == 404
        except OSError:
            return False

    server.wait_for(answers, START_SECONDS)
    return server


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to copy from."""
    return write_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the module's tests."""
    servers: list[Server] = []

    def start(*flags: str, wait: bool = True) -> Server:
        server = launch(tmp_path_factory.mktemp("server"), *flags)
        servers.append(server)
        return started(server) if wait else server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def embed(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Starts servers in this process, where TensorFlow is there already; they end with the test."""
    servers: list[tuple[ModelServer, Client]] = []

    def start(*flags: str) -> Client:
        port, rest_port = free_port(), free_port()
        log = tmp_path / "log"
        log.touch()
        ports = [f"--port={port}", f"--rest_api_port={rest_port}", "--address=127.0.0.1"]
        server, client = ModelServer(parse([*ports, *flags])), Client(port, rest_port, log)
        servers.append((server, client))
        server.start()
        return client

    yield start
    for server, client in servers:
        client.channel.close()  # else the server waits for it
        server.stop()
