"""Compares the embedded server with in-process calls, with itself without batching, and with a FastAPI app."""

import argparse
import base64
import contextlib
import dataclasses
import functools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.pushed_model import Pushed, columns, last_pushed, tensors
from benchmarks.serving.load import Connection, grpc_rate, rest_rate, rest_request
from benchmarks.targets import Target, print_table, report_targets
from benchmarks.timing import ROUNDS, median_seconds
from common.child_processes import prepare_environment

MODEL = "taxi"
PATH = f"/v1/models/{MODEL}:predict"
# For many concurrent clients. A single client would wait two milliseconds for requests that never come.
BATCHING = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""
REPEATS, CLIENTS, SECONDS, MANY = 200, 32, 2.0, 64
START_SECONDS = 60


def main() -> None:
    """Prints the ratios. Exits with 1 if a target is missed, and with 2 if there is no pushed model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("output/taxi"), help="output folder of a run that pushed a model"
    )
    prepare_environment()
    pushed = last_pushed(parser.parse_args().output)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(_embedded(pushed))
        parameters = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "batching_parameters.txt"
        parameters.write_text(BATCHING)
        flags = ["--enable_batching", f"--batching_parameters_file={parameters}"]
        batched = stack.enter_context(_embedded(pushed, *flags))
        fastapi = stack.enter_context(_fastapi(pushed))
        signatures = tf.saved_model.load(str(pushed.saved)).signatures
        targets = _one_client(pushed, signatures, plain)
        targets += _many_clients(pushed, signatures, plain, batched, fastapi)
    report_targets(targets)


@dataclasses.dataclass(frozen=True)
class Ports:
    """Ports of a server."""

    grpc: int
    rest: int


def _one_client(pushed: Pushed, signatures: Any, server: Ports) -> list[Target]:
    """Compares one client, one request at a time, with in-process calls on ready-made tensors."""
    default, raw = signatures["serving_default"], signatures["serve_raw"]
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(f"127.0.0.1:{server.grpc}"))
    connection = Connection(server.rest)
    targets = []
    for rows in (1, MANY):
        examples = _rows(pushed, rows)
        as_examples, as_columns = rest_request(PATH, _examples_body(examples)), rest_request(PATH, _body(examples, raw))
        seconds = median_seconds(
            {
                "serving_default in process": functools.partial(_call, default, tf.constant(examples)),
                "serving_default over gRPC": functools.partial(_call, stub.Predict, _request(examples)),
                "serving_default over REST": functools.partial(_call, connection.send, as_examples),
                "serve_raw in process": functools.partial(_call, raw, **tensors(examples, raw)),
                "serve_raw over REST": functools.partial(_call, connection.send, as_columns),
            },
            REPEATS,
        )
        print_table(
            f"{rows} row{'s' * (rows > 1)}, one client",
            {name: f"{each * 1e6:.0f} us" for name, each in seconds.items()},
        )
        for protocol, signature, max_ratio in (
            ("gRPC", "serving_default", 3),
            ("REST", "serving_default", 4),
            ("REST", "serve_raw", 4),
        ):
            ratio = seconds[f"{signature} over {protocol}"] / seconds[f"{signature} in process"]
            if rows == 1:
                name = f"{protocol} p50 latency / in process, {signature}"
                targets.append(Target(name, ratio, max_ratio, at_most=True))
            else:
                name = f"{protocol} examples/s / in process, {signature}, {rows} rows"
                targets.append(Target(name, 1 / ratio, 0.6))
    return targets


def _many_clients(pushed: Pushed, signatures: Any, plain: Ports, batched: Ports, fastapi: Ports) -> list[Target]:
    """Compares the servers under 32 concurrent clients that send one row per request. The servers take turns."""
    examples = _rows(pushed, 1)
    body, request = _body(examples, signatures["serve_raw"]), _request(examples).SerializeToString()
    loads: dict[str, Callable[[float], float]] = {
        "gRPC": lambda seconds: grpc_rate(plain.grpc, request, CLIENTS, seconds),
        "gRPC, batching": lambda seconds: grpc_rate(batched.grpc, request, CLIENTS, seconds),
        "REST": lambda seconds: rest_rate(plain.rest, PATH, body, CLIENTS, seconds),
        "REST, batching": lambda seconds: rest_rate(batched.rest, PATH, body, CLIENTS, seconds),
        "FastAPI": lambda seconds: rest_rate(fastapi.rest, "/predict", body, CLIENTS, seconds),
    }
    measured: dict[str, list[float]] = {name: [] for name in loads}
    for load in loads.values():
        load(SECONDS)  # to warm up
    for _ in range(ROUNDS):
        for name, load in loads.items():
            measured[name].append(load(SECONDS))
    rates = {name: statistics.median(each) for name, each in measured.items()}
    print_table(f"1 row, {CLIENTS} clients", {name: f"{rate:.0f} requests/s" for name, rate in rates.items()})
    return [
        Target("gRPC requests/s, batching / no batching", rates["gRPC, batching"] / rates["gRPC"], 1.5),
        Target("REST requests/s, batching / no batching", rates["REST, batching"] / rates["REST"], 1.5),
        Target("REST requests/s, batching / FastAPI", rates["REST, batching"] / rates["FastAPI"], 3),
    ]


def _rows(pushed: Pushed, count: int) -> list[bytes]:
    return [pushed.examples[place % len(pushed.examples)] for place in range(count)]


def _request(examples: list[bytes]) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.inputs["examples"].CopyFrom(tf.make_tensor_proto(np.array(examples, object)))
    return request


def _examples_body(examples: list[bytes]) -> bytes:
    instances = [{"b64": base64.b64encode(example).decode()} for example in examples]
    return json.dumps({"instances": instances}).encode()


def _body(examples: list[bytes], signature: Any) -> bytes:
    inputs = {
        name: np.char.decode(array.astype(bytes), "utf-8").tolist() if array.dtype == object else array.tolist()
        for name, array in columns(examples, signature).items()
    }
    return json.dumps({"signature_name": "serve_raw", "inputs": inputs}).encode()


def _call(function: Callable[..., object], *arguments: Any, **named: Any) -> object:
    """Calls a function without the number of the repeat, which is the last argument."""
    return function(*arguments[:-1], **named)


def _embedded(pushed: Pushed, *flags: str) -> contextlib.AbstractContextManager[Ports]:
    ports = Ports(_free_port(), _free_port())
    line = [
        *("-m", "serving", "--address=127.0.0.1", f"--port={ports.grpc}", f"--rest_api_port={ports.rest}"),
        *(f"--model_name={MODEL}", f"--model_base_path={pushed.saved.parent.resolve()}"),
        # A model this small gains nothing from parallel operations.
        *("--tensorflow_intra_op_parallelism=1", *flags),
    ]
    return _running(line, ports)


def _fastapi(pushed: Pushed) -> contextlib.AbstractContextManager[Ports]:
    port = _free_port()
    line = ["-m", "uvicorn", "benchmarks.serving.fastapi_app:app", f"--port={port}", "--no-access-log"]
    return _running(line, Ports(0, port), MODEL=str(pushed.saved))


@contextlib.contextmanager
def _running(line: list[str], ports: Ports, **environment: str) -> Iterator[Ports]:
    """Runs a server in a separate process. The block starts once its REST port is open."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(  # noqa: S603 - our own servers
            [sys.executable, *line], stdout=log, stderr=log, env={**os.environ, **environment}
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _is_open(ports.rest):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{' '.join(line)} did not start: {log.read()[-2000:]}")
                time.sleep(0.1)
            yield ports
        finally:
            process.terminate()
            process.wait()


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
