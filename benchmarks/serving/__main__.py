"""Compares the embedded server with in-process calls, FastAPI, LitServe and MLServer, and measures its waits."""

import argparse
import base64
import contextlib
import functools
import json
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.pushed_model import Pushed, columns, last_pushed, tensors
from benchmarks.serving import model, waits
from benchmarks.serving.load import Connection, grpc_rate, rest_rate, rest_request
from benchmarks.serving.servers import MANY_CLIENTS, Ports, embedded, fastapi, litserve, mlserver
from benchmarks.targets import Target, print_table, report_targets
from benchmarks.timing import median_seconds
from common.child_processes import prepare_environment

MODEL = "taxi"
PATH = f"/v1/models/{MODEL}:predict"
REPEATS, MANY = 200, 64
CLIENTS, SECONDS, RATE_ROUNDS = (1, 8, 32), 1.0, 3
BATCHED, MERGED = ", --enable_batching", ", batching, 2 ms"
OTHERS = ("FastAPI", "LitServe", "MLServer")
DATATYPES = {"f": "FP32", "i": "INT64", "O": "BYTES"}  # of the Open Inference Protocol, by kind of the numpy dtype


def main() -> None:
    """Prints the ratios. Exits with 1 if a target is missed, and with 2 if there is no pushed model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("output/taxi"), help="output folder of a run that pushed a model"
    )
    prepare_environment()
    pushed = last_pushed(parser.parse_args().output)
    signatures = tf.saved_model.load(str(pushed.saved)).signatures
    examples = _rows(pushed, 1)
    small = waits.Small(PATH, _body(examples, signatures["serve_raw"]), _request(examples))
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model.write_model(base / "1")
        models = {MODEL: pushed.saved.parent.resolve(), model.NAME: base}
        with embedded(models) as plain:
            targets = _one_client(pushed, signatures, plain)
            targets += waits.during_large_messages(plain, small)
            targets += waits.after_expired_requests(plain, small)
        plain = stack.enter_context(embedded(models))
        batched = stack.enter_context(embedded(models, batching=""))
        many = stack.enter_context(embedded(models, batching=MANY_CLIENTS))
        targets += waits.after_a_cold_start(many)
        targets += _concurrent_clients(pushed, signatures, {"": plain, BATCHED: batched, MERGED: many})
    report_targets(targets)


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


def _concurrent_clients(pushed: Pushed, signatures: Any, servers: Mapping[str, Ports]) -> list[Target]:
    """Compares the servers under concurrent clients that send one row per request. The servers take turns.

    Args:
        pushed: The model.
        signatures: Its signatures.
        servers: The ports of the embedded server, by the end of the name of its settings.
    """
    examples = _complete_row(pushed, signatures["serve_raw"])
    body, request = _body(examples, signatures["serve_raw"]), _request(examples).SerializeToString()
    open_body = _open_inference_body(examples, signatures["serve_raw"])
    with fastapi(pushed.saved) as first, litserve(pushed.saved) as second, mlserver(pushed.saved) as third:
        loads: dict[str, Callable[[int, float], float]] = {
            **{f"gRPC{end}": functools.partial(grpc_rate, ports.grpc, request) for end, ports in servers.items()},
            **{f"REST{end}": functools.partial(rest_rate, ports.rest, PATH, body) for end, ports in servers.items()},
            "FastAPI": functools.partial(rest_rate, first, "/predict", body),
            "LitServe": functools.partial(rest_rate, second, "/predict", body),
            "MLServer": functools.partial(rest_rate, third, f"/v2/models/{MODEL}/infer", open_body),
        }
        for load in loads.values():
            for clients in CLIENTS:  # to warm up; TensorFlow's functions can block for good if many threads come first
                load(clients, SECONDS / 2)
        rates = {clients: _rates(loads, clients) for clients in CLIENTS}
    names = {name: ", ".join(f"{rates[clients][name]:.0f}" for clients in CLIENTS) for name in loads}
    ratios = {
        f"REST / {other}": ", ".join(f"{_times(rates[clients], other):.1f}" for clients in CLIENTS) for other in OTHERS
    }
    print_table(f"requests/s, 1 row, {', '.join(map(str, CLIENTS))} clients", {**names, **ratios})
    most = rates[max(CLIENTS)]
    return [
        Target("gRPC requests/s, batching / no batching, 32 clients", most[f"gRPC{MERGED}"] / most["gRPC"], 1.5),
        Target("REST requests/s, batching / no batching, 32 clients", most[f"REST{MERGED}"] / most["REST"], 1.5),
        *(
            Target(f"REST requests/s / {other}, {clients} clients", _times(rates[clients], other), least)
            for clients, least in ((8, 4), (32, 3))
            for other in OTHERS
        ),
    ]


def _rates(loads: dict[str, Callable[[int, float], float]], clients: int) -> dict[str, float]:
    measured: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(RATE_ROUNDS):
        for name, load in loads.items():
            measured[name].append(load(clients, SECONDS))
    return {name: statistics.median(each) for name, each in measured.items()}


def _times(rates: Mapping[str, float], other: str) -> float:
    """Returns the rate over REST, with the settings that suit the number of clients, divided by that of a server."""
    best = max(rates[f"REST{end}"] for end in ("", BATCHED, MERGED))
    return best / rates[other] if rates[other] else math.inf


def _rows(pushed: Pushed, count: int) -> list[bytes]:
    return [pushed.examples[place % len(pushed.examples)] for place in range(count)]


def _complete_row(pushed: Pushed, signature: Any) -> list[bytes]:
    """A row without missing numbers. Not all of the servers accept NaN in JSON."""
    return [next(each for each in pushed.examples if b"NaN" not in _body([each], signature))]


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


def _open_inference_body(examples: list[bytes], signature: Any) -> bytes:
    inputs = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": DATATYPES[array.dtype.kind],
            "data": [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()],
        }
        for name, array in columns(examples, signature).items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def _call(function: Callable[..., object], *arguments: Any, **named: Any) -> object:
    """Calls a function without the number of the repeat, which is the last argument."""
    return function(*arguments[:-1], **named)


if __name__ == "__main__":
    main()
