import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from server_process import Embedded, predict_request
from tensorflow_serving.apis import classification_pb2, prediction_log_pb2
from tensorflow_serving.config import logging_config_pb2

from serving.errors import ServingError
from serving.inference import request_log
from serving.inference.metrics import Metrics
from serving.inference.request_handler import HandlerSettings, RequestHandler
from serving.inference.request_log import RequestLog
from serving.models.manager import ModelManager
from serving.models.model_config import ModelConfig
from serving.models.servable import Servable
from serving.models.versions import Retries


def config(prefix: Path | str, kind: str = "tfrecord", rate: float = 1.0) -> logging_config_pb2.LoggingConfig:
    collector = f'log_collector_config {{ type: "{kind}" filename_prefix: "{prefix}" }}'
    text = f"{collector} sampling_config {{ sampling_rate: {rate} }}"
    return text_format.Parse(text, logging_config_pb2.LoggingConfig())


def record(value: float) -> prediction_log_pb2.PredictionLog:
    request = predict_request("tiny", np.array([value], np.float32))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def values(folder: Path) -> list[float]:
    files = sorted(str(path) for path in folder.glob("*.tfrecord"))
    records = [prediction_log_pb2.PredictionLog.FromString(each.numpy()) for each in tf.data.TFRecordDataset(files)]
    return [each.predict_log.request.inputs["x"].float_val[0] for each in records]


def test_files_have_a_maximum_size(tmp_path: Path) -> None:
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append, max_file_bytes=200)
    for value in range(20):
        log.offer(lambda value=value: record(value))  # type: ignore[misc]
    log.close()
    assert values(tmp_path) == list(range(20))
    assert len(list(tmp_path.glob("requests-*.tfrecord"))) > 3
    assert counted == ["written"] * 20


def test_only_sampled_records_are_created(tmp_path: Path) -> None:
    created: list[int] = []

    def make() -> prediction_log_pb2.PredictionLog:
        created.append(1)
        return record(1.0)

    log = RequestLog("tiny", config(tmp_path / "requests", rate=0.1), lambda _status: None)
    for _ in range(2000):
        log.offer(make)
    log.close()
    assert 100 < len(created) < 320
    assert len(values(tmp_path)) == len(created)


def test_unwritable_log_drops_records_and_can_be_closed(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "gone/requests"), counted.append)
    (tmp_path / "gone").rmdir()
    for _ in range(3):
        log.offer(lambda: record(1.0))
    log.close()
    assert counted == ["lost"] * 3


def test_failure_to_log_affects_only_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> prediction_log_pb2.PredictionLog:
        raise RuntimeError("can't start new thread")

    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append)
    log.offer(fail)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        log.offer(lambda: record(1.0))
    assert counted == ["lost"] * 2
    log.offer(lambda: record(2.0))
    log.close()
    assert counted == ["lost"] * 2 + ["written"]
    assert values(tmp_path) == [2.0]


def test_queue_is_limited_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, proceed = threading.Event(), threading.Event()

    def hold(_log: RequestLog) -> Path:
        started.set()
        assert proceed.wait(10)
        return tmp_path / "requests-1.tfrecord"

    monkeypatch.setattr(RequestLog, "_new_path", hold)
    monkeypatch.setattr(request_log, "MAX_QUEUED_BYTES", 3 * record(1.0).ByteSize() + 100)
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append)
    log.offer(lambda: record(0.0))
    assert started.wait(10)  # a record that is being written is no longer queued
    for value in range(1, 10):
        log.offer(lambda value=value: record(value))  # type: ignore[misc]
    lost = len(counted)
    assert set(counted) == {"lost"}
    assert 5 <= lost <= 6
    proceed.set()
    log.close()
    assert values(tmp_path) == list(range(10 - lost))
    log.offer(lambda: record(20.0))
    log.close()
    assert counted[-1] == "written"


def test_logs_with_the_same_prefix_write_separate_files(tmp_path: Path) -> None:
    logs = [RequestLog("tiny", config(tmp_path / "requests"), lambda _status: None) for _ in range(2)]
    for number, log in enumerate(logs):
        log.offer(lambda number=number: record(number))  # type: ignore[misc]
    for log in logs:
        log.close()
    assert sorted(values(tmp_path)) == [0, 1]


@pytest.mark.parametrize(
    ("kind", "prefix", "message"),
    [("kafka", "/tmp/x", "type 'kafka'; expected one of"), ("jsonl", "relative", "expected an absolute path")],
)
def test_invalid_log_configuration_is_rejected(kind: str, prefix: str, message: str) -> None:
    with pytest.raises(ServingError, match=message):
        RequestLog("tiny", config(prefix, kind), lambda _status: None)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_sampling_rate_outside_0_to_1_is_rejected(tmp_path: Path, rate: float) -> None:
    wrong = config(str(tmp_path / "log"), "jsonl")
    wrong.sampling_config.sampling_rate = rate
    with pytest.raises(ServingError, match=f"model tiny: found sampling_rate {rate:g}; expected 0 to 1"):
        RequestLog("tiny", wrong, lambda _status: None)


def test_server_logs_requests_and_responses_of_both_protocols(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    models = tmp_path / "models.config"
    models.write_text(
        f'model_config_list {{ config {{ name: "tiny" base_path: "{tmp_path / "base"}" model_platform: "tensorflow" '
        f"logging_config {{ {config(tmp_path / 'requests', 'jsonl')} }} }} }}"
    )
    server = embed(f"--model_config_file={models}")
    assert server.predict(values=(1.0,)) == [2.5]
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": [3.0]})[0] == 200
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": ["a"]})[0] == 400
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    server.prediction.Classify(request)
    server.server.handler.close()
    [path] = tmp_path.glob("requests-*.jsonl")
    logged = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["predict_log"]["request"]["inputs"]["x"]["float_val"] for each in logged[:2]] == [[1.0], [3.0]]
    assert [each["predict_log"]["response"]["outputs"]["y"]["float_val"] for each in logged[:2]] == [[2.5], [3.5]]
    assert logged[2]["classify_log"]["response"]["model_spec"]["version"] == "1"
    assert all(each["log_metadata"]["sampling_config"]["sampling_rate"] == 1.0 for each in logged)


def log_threads() -> int:
    return sum(thread.name == "log tiny" for thread in threading.enumerate())


def test_record_offered_after_close_is_written(tmp_path: Path) -> None:
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append)
    log.offer(lambda: record(1.0))
    log.close()
    log.offer(lambda: record(2.0))
    log.close()
    assert sorted(values(tmp_path)) == [1.0, 2.0]
    assert counted == ["written"] * 2
    assert log_threads() == 0


def models(base: Path, log: Path | None, *more: str) -> list[ModelConfig]:
    model = ModelConfig(name="tiny", base_path=str(base), model_platform="tensorflow")
    if log:
        model.logging_config.CopyFrom(config(log))
    return [model, *(ModelConfig(name=name, base_path=str(base), model_platform="tensorflow") for name in more)]


class BlockedServable(Servable):
    """Runs requests only after it is told to proceed."""

    started, proceed = threading.Event(), threading.Event()

    def run(self, *arguments: Any) -> Any:
        self.started.set()
        assert self.proceed.wait(10)
        return super().run(*arguments)


@pytest.fixture
def handler(tiny: Path, tmp_path: Path) -> Iterator[RequestHandler]:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    BlockedServable.started.clear()
    BlockedServable.proceed.set()
    handler = RequestHandler(ModelManager(BlockedServable, Retries(0, 0)), Metrics(), HandlerSettings())
    yield handler
    handler.close()


def test_rejected_change_keeps_the_log(handler: RequestHandler, tmp_path: Path) -> None:
    base = tmp_path / "base"
    handler.configure(models(base, tmp_path / "old"))
    assert handler.manager.wait_available(["tiny"])
    handler.predict(predict_request("tiny", np.array([1], np.float32)), "GRPC")
    wrong = models(base, tmp_path / "new")
    wrong[0].version_labels["stable"] = 9
    for _ in range(3):
        with pytest.raises(ServingError, match="not currently available"):
            handler.configure(wrong)
    assert log_threads() == 1
    handler.predict(predict_request("tiny", np.array([2], np.float32)), "GRPC")
    handler.close()
    assert values(tmp_path) == [1.0, 2.0]
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_running_request_is_logged_even_if_its_log_is_replaced(
    handler: RequestHandler, tmp_path: Path, change: str
) -> None:
    base = tmp_path / "base"
    handler.configure(models(base, tmp_path / "old"))
    assert handler.manager.wait_available(["tiny"])
    BlockedServable.proceed.clear()
    request = predict_request("tiny", np.array([1], np.float32))
    running = threading.Thread(target=handler.predict, args=(request, "GRPC"))
    running.start()
    assert BlockedServable.started.wait(10)
    handler.configure(models(base, tmp_path / "new") if change == "replaced" else [])
    BlockedServable.proceed.set()
    running.join()
    handler.close()
    assert values(tmp_path) == [1.0]
    assert log_threads() == 0


def test_concurrent_changes_leave_an_open_log(
    handler: RequestHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, configure = tmp_path / "base", handler.manager.configure
    handler.configure(models(base, tmp_path / "old"))

    def slow(*arguments: Any) -> None:
        time.sleep(0.2)  # so that the changes would overlap
        configure(*arguments)

    monkeypatch.setattr(handler.manager, "configure", slow)
    threads = [
        threading.Thread(target=handler.configure, args=(models(base, tmp_path / name),)) for name in ("new", "old")
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    for value in (1.0, 2.0):
        handler._logs["tiny"].offer(lambda value=value: record(value))  # type: ignore[misc]
        time.sleep(0.1)
    assert log_threads() == 1, "a closed log would write each record to a separate file"
    handler.close()
    assert values(tmp_path) == [1.0, 2.0]
    assert log_threads() == 0


def test_log_that_is_turned_off_writes_nothing(handler: RequestHandler, tmp_path: Path) -> None:
    handler.configure(models(tmp_path / "base", tmp_path / "old"))
    assert handler.manager.wait_available(["tiny"])
    handler.configure(models(tmp_path / "base", None))
    handler.predict(predict_request("tiny", np.array([1], np.float32)), "GRPC")
    handler.close()
    assert values(tmp_path) == []
