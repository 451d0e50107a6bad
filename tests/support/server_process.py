"""Model servers for tests, in a separate process or in this one, with a client for both protocols."""

import dataclasses
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
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
from tiny_models import write_model, write_types_model

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
    """A client of a server.

    Attributes:
        port: The gRPC port.
        rest_port: The REST port.
        log: The server's log file.
    """

    port: int
    rest_port: int
    log: Path

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def rest(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> tuple[int, bytes]:
        """Sends a request over a new connection, and returns the status and the body."""
        status, content, _ = self.rest_headers(method, path, body, **headers)
        return status, content

    def rest_headers(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Sends a request, and returns the status, the body and the headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Sends a JSON request, and returns the status and the JSON document of the response."""
        status, content = self.rest(method, path, None if body is None else json.dumps(body))
        return status, json.loads(content)

    def predict(self, model: str = "tiny", values: tuple[float, ...] = (1.0,), **spec: Any) -> list[float]:
        """Runs the default signature over gRPC."""
        response = self.prediction.Predict(predict_request(model, np.array(values, np.float32), **spec), timeout=30)
        return list(response.outputs["y"].float_val)

    def states(self, model: str = "tiny") -> dict[int, str]:
        """Returns the state of each version."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        versions = self.models.GetModelStatus(request, timeout=30).model_version_status
        names = get_model_status_pb2.ModelVersionStatus.State.Name
        return {each.version: names(each.state) for each in versions}

    def wait_for(self, check: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until a check returns true. A gRPC error counts as false."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if check():
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.02)
        raise AssertionError(self.log.read_text()[-4000:])


@dataclasses.dataclass
class Server(Client):
    """A server in a separate process."""

    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Sends SIGTERM, as an orchestrator does, and returns the exit code."""
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@dataclasses.dataclass
class Embedded(Client):
    """A server in this process."""

    server: ModelServer

    def poll(self) -> None:
        """Searches for new versions now, instead of waiting for the next poll."""
        self.server.handler.manager.poll()

    def stop(self) -> None:
        """Stops the server."""
        self.channel.close()  # otherwise the server waits for the connection to end
        self.server.stop()


def predict_request(
    model: str, array: np.ndarray[Any, Any], name: str = "x", **spec: Any
) -> predict_pb2.PredictRequest:
    """Returns a request with one input. ``spec`` sets fields of the model spec."""
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
    """Starts a server without waiting for its ports."""
    port, rest_port = free_port(), free_port()
    log = folder / f"server-{port}.log"
    command = [sys.executable, "-m", "serving", f"--port={port}", f"--rest_api_port={rest_port}", "--address=127.0.0.1"]
    with log.open("w") as file:
        process = subprocess.Popen([*command, *flags], stdout=file, stderr=file, text=True, cwd=ROOT)
    return Server(port, rest_port, log, process)


def wait_until_open(server: Server) -> Server:
    """Waits until the REST port accepts requests."""

    def is_open() -> bool:
        if server.process.poll() is not None:
            raise AssertionError(server.log.read_text()[-4000:])
        try:
            return server.rest("GET", "/")[0] == 404
        except OSError:
            return False

    server.wait_for(is_open, START_SECONDS)
    return server


def end(server: Server) -> None:
    """Kills a server that is still running."""
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


def embedded(folder: Path, *flags: str) -> Embedded:
    """Creates a server in this process, but does not start it."""
    port, rest_port = free_port(), free_port()
    log = folder / "log"
    log.touch()
    ports = [f"--port={port}", f"--rest_api_port={rest_port}", "--address=127.0.0.1"]
    return Embedded(port, rest_port, log, ModelServer(parse([*ports, *flags])))


def models_flag(folder: Path, *names: str) -> str:
    """The flag that serves the models in the folders of these names in ``folder``."""
    models = " ".join(
        f"config {{ name: '{name}' base_path: '{folder / name}' model_platform: 'tensorflow' }}" for name in names
    )
    (folder / "models").write_text(f"model_config_list {{ {models} }}")
    return f"--model_config_file={folder / 'models'}"


def slow_and_quick(folder: Path, model: Path) -> str:
    """The flag that serves a model twice, as ``slow`` and ``quick``."""
    for name in ("slow", "quick"):
        (folder / name).mkdir()
        (folder / name / "1").symlink_to(model)
    return models_flag(folder, "slow", "quick")


def wait_for_stack(*functions: str, count: int = 1) -> None:
    """Waits until as many threads of this process are inside all of these functions."""
    deadline = time.monotonic() + 30
    while True:
        stacks = [traceback.extract_stack(frame) for frame in sys._current_frames().values()]
        names = [{frame.name for frame in stack} for stack in stacks]
        if sum(set(functions) <= each for each in names) == count:
            return
        assert time.monotonic() < deadline, "\n".join("".join(stack.format()) for stack in stacks)
        time.sleep(0.01)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to link to or to copy."""
    return write_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def model_flags(tiny: Path, tmp_path: Path) -> list[str]:
    """Flags to serve version 1 of ``tiny``."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    return ["--model_name=tiny", f"--model_base_path={tmp_path / 'base'}"]


@pytest.fixture(scope="session")
def shared_server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in a separate process, for tests that only send requests.

    It serves version 3 of ``tiny``, versions 1 and 4 of ``labelled``, the same model, and version 1 of ``types``.
    """
    folder = tmp_path_factory.mktemp("shared")
    for version in ("tiny/3", "labelled/1", "labelled/4"):
        (folder / version).parent.mkdir(exist_ok=True)
        (folder / version).symlink_to(tiny)
    write_types_model(folder / "types/1")
    (folder / "models").write_text(
        f"""model_config_list {{
            config {{ name: "tiny" base_path: "{folder / "tiny"}" model_platform: "tensorflow" }}
            config {{ name: "types" base_path: "{folder / "types"}" model_platform: "tensorflow" }}
            config {{ name: "labelled" base_path: "{folder / "labelled"}" model_platform: "tensorflow"
                model_version_policy {{ all {{}} }}
                version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "a/b: é%" value: 1 }} }} }}"""
    )
    (folder / "monitoring").write_text("prometheus_config { enable: true }")
    server = launch(
        folder,
        f"--model_config_file={folder / 'models'}",
        f"--monitoring_config_file={folder / 'monitoring'}",
        "--allow_version_labels_for_unavailable_models",
        "--enable_grpc_healthcheck_service",
        "--rest_api_enable_cors_support",
        "--rest_api_max_body_bytes=1000000",
        "--no_such_flag=1",
    )
    yield wait_until_open(server)
    end(server)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers in separate processes, which end with the module."""
    servers: list[Server] = []

    def start(*flags: str, wait: bool = True) -> Server:
        server = launch(tmp_path_factory.mktemp("server"), *flags)
        servers.append(server)
        return wait_until_open(server) if wait else server

    yield start
    for server in servers:
        end(server)


@pytest.fixture
def embed(tmp_path: Path) -> Iterator[Callable[..., Embedded]]:
    """Starts servers in this process, where TensorFlow is already loaded. They stop with the test."""
    servers: list[Embedded] = []

    def start(*flags: str, wait: bool = True) -> Embedded:
        server = embedded(tmp_path, *flags)
        servers.append(server)
        if wait:
            server.server.start()
        else:
            threading.Thread(target=server.server.start, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.stop()
