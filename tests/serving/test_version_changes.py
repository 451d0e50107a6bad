"""New versions, removed versions, reloads and stops of a running server."""

import contextlib
import http.client
import io
import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from logging import StreamHandler, getLogger
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from server_process import Client, Embedded, Server, predict_request, wait_for_stack
from tensorflow_serving.apis import (
    model_management_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2
from tiny_models import write_adding_model

from serving.__main__ import main

NO_RETRIES = "--max_num_load_retries=0"
CLIENTS = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Models that add 1, 2, 3 and 4."""
    folder = tmp_path_factory.mktemp("models")
    return {number: write_adding_model(folder / str(number), float(number)) for number in (1, 2, 3, 4)}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    return tmp_path / "base"


def push(model: Path, base: Path, version: int) -> None:
    """Makes a version appear atomically, as the pipeline does."""
    shutil.copytree(model, base / f".pushing-{version}")
    (base / f".pushing-{version}").rename(base / str(version))


def plus(server: Client, **spec: Any) -> float:
    """What the served version adds."""
    return server.predict(values=(0.0,), **spec)[0]


@pytest.fixture
def server(embed: Callable[..., Embedded], models: dict[int, Path], base: Path) -> Embedded:
    """A server of version 1, which does not poll by itself."""
    push(models[1], base, 1)
    return embed("--model_name=tiny", f"--model_base_path={base}", "--file_system_poll_wait_seconds=0", NO_RETRIES)


def test_version_changes_under_load_lose_no_request(
    embed: Callable[..., Embedded], models: dict[int, Path], base: Path
) -> None:
    push(models[1], base, 1)
    server = embed("--model_name=tiny", f"--model_base_path={base}", "--file_system_poll_wait_seconds=1")
    predictions: list[list[float]] = [[] for _ in range(CLIENTS)]
    failures: list[object] = []
    stop, stack = threading.Event(), contextlib.ExitStack()

    def ask(number: int) -> None:
        client = Client(server.port, server.rest_port, server.log)
        stack.callback(client.channel.close)
        while not stop.is_set():
            try:
                if number % 2:
                    predictions[number].append(plus(client))
                else:
                    status, document = client.json("POST", "/v1/models/tiny:predict", {"instances": [0.0]})
                    assert status == 200, document
                    predictions[number].append(document["predictions"][0])
            except (grpc.RpcError, AssertionError, OSError) as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for version in (2, 3, 4):
        push(models[version], base, version)
        server.wait_for(lambda version=version: plus(server) == version)  # type: ignore[misc]
    server.wait_for(lambda: server.states()[1] == "END")
    server.wait_for(lambda: all(len(each) > 10 and each[-1] == 4.0 for each in predictions))
    stop.set()
    for thread in threads:
        thread.join()
    stack.close()
    assert failures == []
    for each in predictions:
        assert each == sorted(each), "an older version predicted after a newer one"
    assert server.states() == {1: "END", 2: "END", 3: "END", 4: "AVAILABLE"}


def test_removed_version_is_replaced_by_the_previous_one(server: Embedded, models: dict[int, Path], base: Path) -> None:
    push(models[2], base, 2)
    server.poll()
    server.wait_for(lambda: plus(server) == 2.0)
    shutil.rmtree(base / "2")
    server.poll()
    server.wait_for(lambda: plus(server) == 1.0)
    server.wait_for(lambda: server.states()[2] == "END")
    push(models[3], base, 2)
    server.poll()
    server.wait_for(lambda: plus(server) == 3.0)


def test_unreadable_folder_keeps_loaded_versions(server: Embedded, base: Path) -> None:
    kept = base.with_name("kept")
    base.rename(kept)
    server.poll()
    assert plus(server) == 1.0
    base.write_text("not a folder")
    server.poll()
    assert plus(server) == 1.0
    assert server.states() == {1: "AVAILABLE"}
    base.unlink()
    kept.rename(base)


def test_broken_version_is_skipped_while_the_previous_one_stays_available(
    server: Embedded, models: dict[int, Path], base: Path
) -> None:
    shutil.copytree(models[3], base / "half")
    (base / "half/saved_model.pb").write_bytes(b"half a graph")
    (base / "half").rename(base / "3")
    server.poll()
    server.wait_for(lambda: server.states().get(3) == "END")
    assert plus(server) == 1.0
    status, document = server.json("GET", "/v1/models/tiny/versions/3")
    assert status == 200
    [version] = document["model_version_status"]
    assert version["status"]["error_code"] != "OK"
    assert version["status"]["error_message"]
    assert str(base) not in version["status"]["error_message"]
    push(models[4], base, 4)
    server.poll()
    server.wait_for(lambda: plus(server) == 4.0)


def test_versions_and_labels_of_the_config_file_can_be_requested(
    embed: Callable[..., Embedded],
    models: dict[int, Path],
    base: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for version in (1, 2, 3):
        push(models[version], base, version)
    config = tmp_path / "models.config"
    text = f"""model_config_list {{ config {{ name: "tiny" base_path: "{base}" model_platform: "tensorflow"
        model_version_policy {{ specific {{ versions: 1 versions: 3 }} }} LABELS }} }}"""
    config.write_text(text.replace("LABELS", ""))
    server = embed(f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1", NO_RETRIES)
    server.wait_for(lambda: server.states() == {1: "AVAILABLE", 3: "AVAILABLE"})
    assert (plus(server), plus(server, version=1), plus(server, version=3)) == (3.0, 1.0, 3.0)
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 3 }'
    config.write_text(text.replace("LABELS", labels))
    server.wait_for(lambda: plus(server, version_label="canary") == 3.0)
    assert plus(server, version_label="stable") == 1.0
    assert server.json("POST", "/v1/models/tiny/labels/stable:predict", {"instances": [0.0]})[1] == {
        "predictions": [1.0]
    }
    config.write_text("broken {")
    server.wait_for(lambda: "Error parsing text-format" in caplog.text)
    assert plus(server, version_label="canary") == 3.0


def reload(server: Client, **models: tuple[Path, dict[str, int]]) -> str:
    """Replaces the models, and returns the error message."""
    request = model_management_pb2.ReloadConfigRequest()
    for name, (base, labels) in models.items():
        config = request.config.model_config_list.config.add(
            name=name, base_path=str(base), model_platform="tensorflow"
        )
        config.version_labels.update(labels)
    if not models:
        request.config.model_config_list.SetInParent()
    try:
        server.models.HandleReloadConfigRequest(request, timeout=60)
    except grpc.RpcError as error:
        return str(error.details())
    return ""


def test_reload_replaces_all_models_and_returns_when_they_are_available(
    server: Embedded, models: dict[int, Path], base: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    push(models[2], other, 7)
    assert reload(server, tiny=(base, {"stable": 1}), other=(other, {})) == ""
    assert server.predict("other", (0.0,)) == [2.0]
    assert plus(server, version_label="stable") == 1.0
    assert "not currently available for inference" in reload(server, tiny=(base, {"stable": 9}), other=(other, {}))
    assert plus(server, version_label="stable") == 1.0
    assert "to have an absolute path" in reload(server, tiny=(Path("relative"), {}))
    assert server.predict("other", (0.0,)) == [2.0]
    assert reload(server, other=(other, {})) == ""
    server.wait_for(lambda: server.states() == {1: "END"})
    with pytest.raises(grpc.RpcError) as caught:
        plus(server)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert reload(server) == ""
    server.wait_for(lambda: server.states("other") == {7: "END"})
    with pytest.raises(grpc.RpcError) as caught:
        server.models.HandleReloadConfigRequest(
            model_management_pb2.ReloadConfigRequest(config=model_server_config_pb2.ModelServerConfig())
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_ports_open_once_a_version_is_available(
    embed: Callable[..., Embedded], models: dict[int, Path], base: Path
) -> None:
    flags = ("--model_name=tiny", f"--model_base_path={base}", "--file_system_poll_wait_seconds=0")
    server = embed(*flags, wait=False)
    wait_for_stack("start", "wait_available")
    with pytest.raises(OSError, match="refused"):
        server.rest("GET", "/")
    push(models[1], base, 1)
    server.poll()
    server.wait_for(lambda: plus(server) == 1.0)


def write_warmup(model: Path, signature: str) -> None:
    request = predict_pb2.PredictRequest()
    request.CopyFrom(predict_request("tiny", np.array([1], np.float32), signature_name=signature))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    (model / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(model / "assets.extra/tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def test_version_whose_warmup_fails_does_not_become_available(
    server: Embedded, models: dict[int, Path], base: Path
) -> None:
    staged = base / ".pushing-2"
    shutil.copytree(models[2], staged)
    write_warmup(staged, "serving_default")
    staged.rename(base / "2")
    server.poll()
    server.wait_for(lambda: plus(server) == 2.0)
    shutil.copytree(models[3], staged)
    write_warmup(staged, "no_such_signature")
    staged.rename(base / "3")
    server.poll()
    server.wait_for(lambda: server.states().get(3) == "END")
    assert plus(server) == 2.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "found neither --model_base_path nor --model_config_file"),
        (("--model_base_path=relative",), "Expected model default to have an absolute path"),
        (("--model_base_path=/a", "--batching_parameters_file=/b"), "without --enable_batching"),
        (("--model_base_path=/a", "--port=x"), "--port: found 'x'"),
        (("--model_base_path=BROKEN", "--port=0", NO_RETRIES), "none of the versions of default can be loaded"),
    ],
)
def test_server_that_cannot_start_reports_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(logging, "set_verbosity", lambda _: None)
    (tmp_path / "broken/1").mkdir(parents=True)
    assert main([flag.replace("BROKEN", str(tmp_path / "broken")) for flag in flags]) == 255
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_the_servers_log_shows_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients choose names, such as those of models in a new configuration."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(logging, "set_verbosity", lambda _: None)
    shown = io.StringIO()
    root = getLogger()
    monkeypatch.setattr(root, "handlers", [StreamHandler(shown)])
    assert main(["--model_base_path=relative"]) == 255
    root.error("%s failed", "\x1b[2Jmodel")
    assert shown.getvalue() == "\\x1b[2Jmodel failed\n"


def test_process_exits_with_the_same_code(serve: Callable[..., Server]) -> None:
    server = serve("--port=x", wait=False)
    assert server.process.wait(60) == 255
    assert server.log.read_text().startswith("error: --port: found 'x'; expected an integer from 0 to 65535")


def rest_requests(server: Server, keep: bool) -> Iterator[None]:
    """Sends requests over one connection, or each over a new one, until a connection is refused."""
    connection: http.client.HTTPConnection | None = None
    while True:
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return
        connection.request("POST", "/v1/models/tiny:predict", b'{"instances": [0.0]}')
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (200, {"predictions": [1.0]})
        yield
        if not keep or response.will_close:
            connection.close()
            connection = None


def grpc_requests(server: Server) -> Iterator[None]:
    """Sends requests over a separate connection until it cannot be re-established."""
    address, options = f"127.0.0.1:{server.port}", [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        while True:
            try:
                stub.Predict(predict_request("tiny", np.zeros(1, np.float32)), timeout=60)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNAVAILABLE and "failed to connect" in error.details():
                    return
                raise
            yield


@pytest.mark.parametrize("flags", [(), pytest.param(("--enable_batching",), marks=pytest.mark.slow)])
def test_stop_under_load_answers_every_accepted_request(
    serve: Callable[..., Server], models: dict[int, Path], base: Path, flags: tuple[str, ...]
) -> None:
    push(models[1], base, 1)
    server = serve("--model_name=tiny", f"--model_base_path={base}", *flags)
    kinds = [
        lambda: rest_requests(server, True),
        lambda: rest_requests(server, False),
        lambda: grpc_requests(server),
    ]
    answered = [0] * CLIENTS
    failures: list[object] = []

    def ask(number: int) -> None:
        try:
            for _ in kinds[number % len(kinds)]():
                answered[number] += 1
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    server.wait_for(lambda: min(answered) > 5 or bool(failures))
    assert server.stop() == 0
    for thread in threads:
        thread.join(30)
    assert failures == []
