"""The effect of flags that other tests do not need, over real connections."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
from server_process import Embedded, models_flag, predict_request, slow_and_quick, wait_for_stack
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_service_pb2_grpc

from serving import slices
from serving.__main__ import main
from serving.errors import Code, ServingError
from serving.flags import Flags
from serving.protocols.rest import RestApi
from serving.server import ModelServer

UNBOUNDED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PREDICT = "/v1/models/tiny:predict"


@pytest.fixture
def flags(model_flags: list[str]) -> list[str]:
    return model_flags


def test_unix_socket_is_served_in_addition_to_the_port(
    embed: Callable[..., Embedded], flags: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    server = embed(*flags, f"--grpc_socket_path={path}")
    with grpc.insecure_channel(f"unix:{path}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(predict_request("tiny", np.array([1], np.float32)), timeout=30)
    assert list(response.outputs["y"].float_val) == [2.5]
    assert server.predict() == [2.5]


def test_channel_arguments_reach_grpc(embed: Callable[..., Embedded], flags: list[str]) -> None:
    arguments = "grpc.max_receive_message_length=2000,grpc.default_compression_algorithm=2,grpc.some_text=text"
    server = embed(*flags, f"--grpc_channel_arguments={arguments}")
    assert server.predict() == [2.5]
    with pytest.raises(grpc.RpcError) as caught:
        server.predict(values=(1.0,) * 1000)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_tensor_content_replaces_typed_fields(embed: Callable[..., Embedded], flags: list[str]) -> None:
    server = embed(*flags, "--enable_serialization_as_tensor_content")
    request = predict_request("tiny", np.array([1, 2], np.float32), signature_name="two")
    request.inputs["s"].CopyFrom(tf.make_tensor_proto(["a", ""]))
    outputs = server.prediction.Predict(request, timeout=30).outputs
    assert (list(outputs["total"].float_val), list(outputs["text_bytes"].string_val)) == ([], [])
    assert tf.make_ndarray(outputs["total"]).tolist() == [3.0, 4.0]
    assert tf.io.parse_tensor(outputs["text_bytes"].SerializeToString(), tf.string).numpy().tolist() == [b"a", b""]
    back = predict_request("tiny", np.array([1, 2], np.float32), signature_name="two")
    back.inputs["s"].CopyFrom(outputs["text_bytes"])
    assert server.prediction.Predict(back, timeout=30).outputs["text_bytes"] == outputs["text_bytes"]
    assert server.json("POST", PREDICT, {"instances": [1.0]}) == (200, {"predictions": [2.5]})


def test_requests_are_answered_while_a_large_body_is_converted(
    embed: Callable[..., Embedded], flags: list[str]
) -> None:
    server = embed(*flags)
    values = np.arange(50_000, dtype=np.float32)
    body = json.dumps({"inputs": values.tolist()})
    expected = (200, {"outputs": (values / 2 + 2).tolist()})
    assert server.json("POST", PREDICT, json.loads(body)) == expected
    [process] = [each for each in psutil.Process().children() if "serving.rest_json.worker" in each.cmdline()]
    process.suspend()
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(server.json, "POST", PREDICT, json.loads(body))
        wait_for_stack("parsed", "call")
        assert server.rest("GET", "/v1/models/tiny")[0] == 200
        assert server.json("POST", PREDICT, {"instances": [1.0]}) == (200, {"predictions": [2.5]})
        assert server.predict() == [2.5]
        process.resume()
        assert large.result() == expected


def test_requests_are_answered_while_a_large_message_is_converted(
    embed: Callable[..., Embedded], flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = embed(*flags)
    texts = [b"%d" % each for each in range(50_000)]
    request = predict_request("tiny", np.ones(len(texts), np.float32), signature_name="two")
    request.inputs["s"].CopyFrom(tf.make_tensor_proto(texts))
    resumed = threading.Event()

    def pause() -> None:
        assert resumed.wait(30)

    monkeypatch.setattr(slices, "let_others_run", pause)
    large = server.prediction.Predict.future(request)
    wait_for_stack("to_array", "pause")
    assert server.rest("GET", "/v1/models/tiny")[0] == 200
    assert server.predict() == [2.5]
    resumed.set()
    assert list(large.result().outputs["text_bytes"].string_val) == texts


def test_messages_of_100_megabytes_are_accepted_and_large_ones_returned(
    embed: Callable[..., Embedded], flags: list[str]
) -> None:
    server = embed(*flags)
    large = np.zeros(28_000_000, np.float32)  # 112 MB
    large[-1] = 5.0
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "scalar"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(large))
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", UNBOUNDED) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert list(stub.Predict(request, timeout=60).outputs["sum"].float_val) == [5.0]
        reply = stub.Predict(predict_request("tiny", large[:2_000_000]), timeout=60)
    assert reply.ByteSize() > 8_000_000
    assert len(reply.outputs["y"].float_val) == 2_000_000


def test_graph_is_selected_by_its_tags(embed: Callable[..., Embedded], tiny: Path, tmp_path: Path) -> None:
    version = shutil.copytree(tiny, tmp_path / "base/1")
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].meta_info_def.tags[:] = ["serve", "mine"]
    (version / "saved_model.pb").write_bytes(saved.SerializeToString())
    flags = ("--model_name=tiny", f"--model_base_path={tmp_path / 'base'}", "--max_num_load_retries=0")
    assert embed(*flags, "--saved_model_tags=mine,serve").predict() == [2.5]
    (tmp_path / "base/1").rename(tmp_path / "1")
    shutil.copytree(tiny, version)
    assert embed(*flags, "--saved_model_tags=").predict() == [2.5]  # as the original: the tag serve


def test_tflite_model_is_preferred_on_request(embed: Callable[..., Embedded], tiny: Path, tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x")])
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + 100.0}

    version = shutil.copytree(tiny, tmp_path / "base/1")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], tf.Module())
    (version / "model.tflite").write_bytes(converter.convert())
    shutil.copytree(tiny, tmp_path / "other/1")  # without model.tflite
    server = embed(models_flag(tmp_path, "base", "other"), "--prefer_tflite_model", "--enable_batching")
    assert (server.predict("base"), server.predict("other")) == ([101.0], [2.5])
    rows = {"instances": [{"x": 1.0}, {"x": 2.0}]}
    assert server.json("POST", "/v1/models/base:predict", rows) == (200, {"predictions": [[101.0], [102.0]]})


def test_abandoned_slow_calls_do_not_delay_other_models(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    server = embed(
        slow_and_quick(tmp_path, tiny),
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        "--grpc_max_threads=2",
    )
    monkeypatch.setattr(server.server._rest, "_timeout_seconds", 0.1)
    wait = predict_request("slow", np.array([1], np.float32), signature_name="wait")
    calls = [server.prediction.Predict.future(wait, timeout=0.1) for _ in range(6)]
    assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    cancelled = server.prediction.Predict.future(wait)
    wait_for_stack("hold", "_wait")
    cancelled.cancel()
    wait_for_stack("hold", "_wait", count=0)
    assert server.predict("quick") == [2.5]  # although two calls still run
    slow = json.dumps({"signature_name": "wait", "inputs": [1.0]})
    assert {server.rest("POST", "/v1/models/slow:predict", slow)[0] for _ in range(4)} == {504}
    assert server.json("POST", "/v1/models/quick:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})
    servable = server.server.handler.manager._models["slow"].versions[1].servable
    assert servable
    servable.run("release", {"x": np.ones(4, np.float32)}, ["y"])  # two calls of each protocol
    server.wait_for(lambda: counted(server, "slow") == 4)
    assert server.predict("slow") == [2.5]
    assert counted(server, "slow") == 5, "abandoned calls have run"


def counted(server: Embedded, model: str) -> int:
    """Returns the number of successful requests in the metrics."""
    page = server.rest("GET", "/monitoring/prometheus/metrics")[1].decode()
    found = re.search(f':request_count{{model_name="{model}",status="OK"}} (.+)', page)
    return int(found[1]) if found else 0


def test_flag_enables_the_check_of_the_method_name(embed: Callable[..., Embedded], flags: list[str]) -> None:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    assert embed(*flags).prediction.Classify(request, timeout=30).result.classifications
    with pytest.raises(grpc.RpcError, match="Expected classify signature method_name to be"):
        embed(*flags, "--enable_signature_method_name_check").prediction.Classify(request, timeout=30)


def test_health_service_needs_its_flag(embed: Callable[..., Embedded], flags: list[str]) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 - of this test alone

    stub = health_pb2_grpc.HealthStub(embed(*flags).channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_metrics_and_cors_are_off_by_default(embed: Callable[..., Embedded], flags: list[str]) -> None:
    server = embed(*flags)
    status, body, headers = server.rest_headers("GET", "/monitoring/prometheus/metrics")
    assert (status, body[:6], headers["Content-Type"].partition(";")[0]) == (404, b"<HTML>", "text/html")
    status, body, headers = server.rest_headers("POST", PREDICT, '{"instances": [1]}', Origin="http://elsewhere")
    assert status == 200
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert server.rest("OPTIONS", PREDICT, Origin="http://elsewhere")[0] == 400


def test_metrics_are_served_at_the_path_of_the_file(
    embed: Callable[..., Embedded], flags: list[str], tmp_path: Path
) -> None:
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: '/numbers' }")
    server = embed(*flags, f"--monitoring_config_file={tmp_path / 'monitoring'}")
    status, body, headers = server.rest_headers("GET", "/numbers")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert b"# TYPE :tensorflow:serving:request_count counter" in body
    assert server.rest("GET", "/monitoring/prometheus/metrics")[0] == 404


def test_metadata_is_that_of_the_latest_or_the_requested_version(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path
) -> None:
    for version in ("1", "00000012"):
        (tmp_path / "base").mkdir(exist_ok=True)
        (tmp_path / "base" / version).symlink_to(tiny)
    (tmp_path / "models").write_text(
        f"model_config_list {{ config {{ name: 'tiny' base_path: '{tmp_path / 'base'}' model_platform: 'tensorflow' "
        "model_version_policy { all {} } } }"
    )
    server = embed(f"--model_config_file={tmp_path / 'models'}")
    server.wait_for(lambda: server.states() == {12: "AVAILABLE", 1: "AVAILABLE"})
    for path, version in (("", "12"), ("/versions/1", "1"), ("/versions/0012", "12")):
        answer = server.json("GET", f"/v1/models/tiny{path}/metadata")[1]
        assert answer["model_spec"]["version"] == version
    assert [each["version"] for each in server.json("GET", "/v1/models/tiny")[1]["model_version_status"]] == ["12", "1"]


def test_version_is_printed_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--port=1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("TensorFlow ModelServer: ")
    assert second == f"TensorFlow Library: {tf.__version__}"


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_port_in_use_is_reported_before_models_are_loaded(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = {"port": 0, "rest_api_port": 0} | {flag: taken}
        server = ModelServer(Flags(address="127.0.0.1", model_base_path=str(tmp_path), **ports))
        with pytest.raises(ServingError, match=f"--{flag}={taken}: Address already in use on 127.0.0.1; expected"):
            server.start()
    assert not server.handler.manager.configs()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID_ARGUMENT, 400),
        (Code.FAILED_PRECONDITION, 400),
        (Code.OUT_OF_RANGE, 400),
        (Code.UNAUTHENTICATED, 401),
        (Code.PERMISSION_DENIED, 403),
        (Code.NOT_FOUND, 404),
        (Code.ALREADY_EXISTS, 409),
        (Code.ABORTED, 409),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.CANCELLED, 499),
        (Code.UNIMPLEMENTED, 501),
        (Code.UNAVAILABLE, 503),
        (Code.DEADLINE_EXCEEDED, 504),
        (Code.INTERNAL, 500),
        (Code.DATA_LOSS, 500),
        (Code.UNKNOWN, 500),
    ],
)
def test_each_code_has_its_status(code: grpc.StatusCode, status: int) -> None:
    def fails(_request: Any) -> None:
        raise ServingError(code, "message")

    reply = RestApi(SimpleNamespace(status=fails), None).handle("GET", "/v1/models/tiny", [])  # type: ignore[arg-type]
    assert (reply.status, json.loads(bytes(reply.body)), reply.content_type) == (
        status,
        {"error": "message"},
        "application/json",
    )
