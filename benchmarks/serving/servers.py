"""The servers that are compared, each in its own processes."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.serving.environment import servers_python
from common.project import ROOT

START_SECONDS, END_SECONDS = 120, 10
ADDRESS = "127.0.0.1"
# For dozens of concurrent clients. A few would wait two milliseconds for requests that never come.
MANY_CLIENTS = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""


@dataclasses.dataclass(frozen=True)
class Ports:
    """Ports of a server."""

    grpc: int
    rest: int


@contextlib.contextmanager
def embedded(models: dict[str, Path], batching: str | None = None) -> Iterator[Ports]:
    """Runs the embedded server.

    Args:
        models: The folder with the numbered versions of each model, by its name.
        batching: Batching parameters, empty for the defaults, or ``None`` to run each request separately.
    """
    ports = Ports(_free_port(), _free_port())
    with tempfile.TemporaryDirectory() as folder:
        config, parameters = Path(folder) / "models", Path(folder) / "batching"
        entries = [
            f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
            for name, path in models.items()
        ]
        config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
        line = ["-m", "serving", f"--address={ADDRESS}", f"--port={ports.grpc}", f"--rest_api_port={ports.rest}"]
        # A model this small gains nothing from parallel operations.
        line += [f"--model_config_file={config}", "--tensorflow_intra_op_parallelism=1"]
        if batching is not None:
            parameters.write_text(batching)
            line += ["--enable_batching", f"--batching_parameters_file={parameters}"]
        with _running([sys.executable, *line], ports.rest):
            yield ports


@contextlib.contextmanager
def fastapi(saved_model: Path) -> Iterator[int]:
    """Runs the FastAPI app, and yields its port."""
    port = _free_port()
    app = ["-m", "uvicorn", "benchmarks.serving.fastapi_app:app", f"--port={port}", "--no-access-log"]
    with _running([sys.executable, *app], port, MODEL=str(saved_model)):
        yield port


@contextlib.contextmanager
def litserve(saved_model: Path) -> Iterator[int]:
    """Runs the LitServe app, and yields its port."""
    port = _free_port()
    command = [str(servers_python()), "-m", "benchmarks.serving.litserve_app"]
    with _running(command, port, MODEL=str(saved_model), PORT=str(port)):
        yield port


@contextlib.contextmanager
def mlserver(saved_model: Path) -> Iterator[int]:
    """Runs MLServer, and yields its port."""
    port = _free_port()
    # Without worker processes, which only add the cost of copying the data to them.
    settings = {"host": ADDRESS, "http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port()}
    model = {"name": "taxi", "implementation": "benchmarks.serving.mlserver_app.Taxi"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0, "debug": False}))
        (Path(folder) / "model-settings.json").write_text(json.dumps(model))
        python = servers_python()
        with _running([str(python), str(python.with_name("mlserver")), "start", folder], port, MODEL=str(saved_model)):
            yield port


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, **environment: str) -> Iterator[None]:
    """Runs a server. The block starts once it answers on its port."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(  # noqa: S603 - our own servers
            command, stdout=log, stderr=log, cwd=ROOT, env=variables, start_new_session=True
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _is_open(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{' '.join(command)} did not start: {log.read()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own process group
            process.wait()


def _is_open(port: int) -> bool:
    """Returns whether a server answers HTTP requests. Some accept connections before they have loaded the model."""
    try:
        with socket.create_connection((ADDRESS, port), 1) as connection:
            connection.settimeout(5)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])
