import http.client
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from server_process import Client, Server, predict_request
from tensorflow_serving.apis import (
    model_management_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2
from tiny_models import write_model

QUICK = ("--file_system_poll_wait_seconds=1", "--max_num_load_retries=0")
CLIENTS = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Models that add 1, 2, 3 and 4."""
    folder = tmp_path_factory.mktemp("models")
    return {number: write_model(folder / str(number), plus=float(number)) for number in (1, 2, 3, 4)}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    return tmp_path / "base"


def push(model: Path, base: Path, version: int) -> None:
    """As the pipeline pushes: whole, or not there."""
    shutil.copytree(model, base / f".pushing-{version}")
    (base / f".pushing-{version}").rename(base / str(version))


def plus(server: Client, **spec: Any) -> float:
    return server.predict(values=(0.0,), **spec)[0]


@pytest.fixture
def one(serve: Callable[..., Server], models: dict[int, Path], base: Path) -> Iterator[Server]:
    push(models[1], base, 1)
    server = serve("--model_name=tiny", f"--model_base_path={base}", *QUICK)
    yield server
    assert server.stop() == 0


def test_a_swap_under_load_loses_no_request(one: Server, models: dict[int, Path], base: Path) -> None:
    answers: list[list[float]] = [[] for _ in range(CLIENTS)]
    failures: list[object] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        client = Client(one.port, one.rest_port, one.log)
        while not stop.is_set():
            try:
                if number % 2:
                    answers[number].append(plus(client))
                else:
                    status, answer = client.json("POST", "/v1/models/tiny:predict", {"instances": [0.0]})
                    assert status == 200, answer
                    answers[number].append(answer["predictions"][0])
            except (grpc.RpcError, AssertionError, OSError) as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for version in (2, 3, 4):
        push(models[version], base, version)
        one.wait_for(lambda version=version: plus(one) == version)  # type: ignore[misc]
    one.wait_for(lambda: one.states()[1] == "END")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    for found in answers:
        assert len(found) > 10
        assert found == sorted(found), "an older version answered after a newer one"
        assert found[-1] == 4.0
    assert one.states() == {1: "END", 2: "END", 3: "END", 4: "AVAILABLE"}


def test_a_version_that_is_taken_away_gives_way_to_the_one_before(
    one: Server, models: dict[int, Path], base: Path
) -> None:
    push(models[2], base, 2)
    one.wait_for(lambda: plus(one) == 2.0)
    shutil.rmtree(base / "2")
    one.wait_for(lambda: plus(one) == 1.0)
    push(models[3], base, 2)
    one.wait_for(lambda: plus(one) == 3.0)


def test_a_folder_that_cannot_be_looked_into_keeps_what_is_loaded(one: Server, base: Path) -> None:
    assert plus(one) == 1.0
    kept = base.with_name("kept")
    base.rename(kept)
    time.sleep(1.5)
    assert plus(one) == 1.0
    base.write_text("no folder")
    time.sleep(1.5)
    assert plus(one) == 1.0
    base.unlink()
    kept.rename(base)


def test_a_broken_version_is_skipped_while_the_one_before_answers(
    one: Server, models: dict[int, Path], base: Path
) -> None:
    push(models[2], base, 2)
    one.wait_for(lambda: plus(one) == 2.0)
    shutil.copytree(models[3], base / "half")
    (base / "half/saved_model.pb").write_bytes(b"half a graph")
    (base / "half").rename(base / "3")
    one.wait_for(lambda: one.states().get(3) == "END")
    assert plus(one) == 2.0
    status, answer = one.json("GET", "/v1/models/tiny/versions/3")
    assert status == 200
    [version] = answer["model_version_status"]
    assert version["status"]["error_code"] != "OK"
    assert version["status"]["error_message"]
    push(models[4], base, 4)
    one.wait_for(lambda: plus(one) == 4.0)


def test_a_version_asked_for_by_number_answers_while_it_is_loaded(
    serve: Callable[..., Server], models: dict[int, Path], base: Path, tmp_path: Path
) -> None:
    for version in (1, 2, 3):
        push(models[version], base, version)
    config = tmp_path / "models.config"
    text = f"""model_config_list {{ config {{ name: "tiny" base_path: "{base}" model_platform: "tensorflow"
        model_version_policy {{ specific {{ versions: 1 versions: 3 }} }} LABELS }} }}"""
    config.write_text(text.replace("LABELS", ""))
    server = serve(f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1", *QUICK)
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
    time.sleep(2.5)
    assert plus(server, version_label="canary") == 3.0
    assert "Error parsing text-format" in server.log.read_text()


def reload(server: Server, **models: tuple[Path, dict[str, int]]) -> str:
    """Asks for other models, and returns why not."""
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


def test_a_reload_replaces_all_models_and_returns_when_they_answer(
    one: Server, models: dict[int, Path], base: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    push(models[2], other, 7)
    assert reload(one, tiny=(base, {"stable": 1}), other=(other, {})) == ""
    assert one.predict("other", (0.0,)) == [2.0]
    assert plus(one, version_label="stable") == 1.0
    assert "not currently available for inference" in reload(one, tiny=(base, {"stable": 9}), other=(other, {}))
    assert plus(one, version_label="stable") == 1.0
    assert "to have an absolute path" in reload(one, tiny=(Path("relative"), {}))
    assert one.predict("other", (0.0,)) == [2.0]
    assert reload(one, other=(other, {})) == ""
    one.wait_for(lambda: one.states() == {1: "END"})
    with pytest.raises(grpc.RpcError) as caught:
        plus(one)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert reload(one) == ""
    one.wait_for(lambda: one.states("other") == {7: "END"})
    with pytest.raises(grpc.RpcError) as caught:
        one.models.HandleReloadConfigRequest(
            model_management_pb2.ReloadConfigRequest(config=model_server_config_pb2.ModelServerConfig())
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_ports_open_only_once_there_is_a_version(
    serve: Callable[..., Server], models: dict[int, Path], base: Path
) -> None:
    server = serve("--model_name=tiny", f"--model_base_path={base}", *QUICK, wait=False)
    time.sleep(8)
    with pytest.raises(OSError, match="refused"):
        server.rest("GET", "/")
    push(models[1], base, 1)
    server.wait_for(lambda: plus(server) == 1.0)


def write_warmup(model: Path, signature: str) -> None:
    request = predict_pb2.PredictRequest()
    request.CopyFrom(predict_request("tiny", np.array([1], np.float32), signature_name=signature))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    (model / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(model / "assets.extra/tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def test_a_version_whose_warmup_fails_does_not_answer(one: Server, models: dict[int, Path], base: Path) -> None:
    staged = base / ".pushing-2"
    shutil.copytree(models[2], staged)
    write_warmup(staged, "serving_default")
    staged.rename(base / "2")
    one.wait_for(lambda: plus(one) == 2.0)
    shutil.copytree(models[3], staged)
    write_warmup(staged, "no_such_signature")
    staged.rename(base / "3")
    one.wait_for(lambda: one.states().get(3) == "END")
    assert plus(one) == 2.0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "found neither --model_base_path nor --model_config_file"),
        (("--model_base_path=relative",), "Expected model default to have an absolute path"),
        (("--model_base_path=/a", "--batching_parameters_file=/b"), "without --enable_batching"),
        (("--model_base_path=/a", "--port=x"), "--port: found 'x'"),
        (("--model_base_path=BROKEN", *QUICK), "none of the versions of default can be loaded"),
    ],
)
def test_a_server_that_cannot_serve_says_why_and_ends(
    serve: Callable[..., Server], tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    (tmp_path / "broken/1").mkdir(parents=True)
    named = [flag.replace("BROKEN", str(tmp_path / "broken")) for flag in flags]
    server = serve(*named, wait=False)
    assert server.process.wait(60) == 255
    assert said in server.log.read_text().splitlines()[-1]


def asks_over_rest(server: Server, keep: bool) -> Iterator[None]:
    """Asks for ever, over one connection or over a new one each time; ends when a connection is refused."""
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


def asks_over_grpc(server: Server) -> Iterator[None]:
    """Asks for ever over a connection of its own; ends when it cannot be made anew."""
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
def test_a_stop_under_load_answers_what_it_took(
    serve: Callable[..., Server], models: dict[int, Path], base: Path, flags: tuple[str, ...]
) -> None:
    push(models[1], base, 1)
    server = serve("--model_name=tiny", f"--model_base_path={base}", *QUICK, *flags)
    kinds = [
        lambda: asks_over_rest(server, True),
        lambda: asks_over_rest(server, False),
        lambda: asks_over_grpc(server),
    ]
    answered = [0] * CLIENTS
    wrong: list[object] = []

    def ask(number: int) -> None:
        try:
            for _ in kinds[number % len(kinds)]():
                answered[number] += 1
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    assert server.stop() == 0
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert min(answered) > 5
