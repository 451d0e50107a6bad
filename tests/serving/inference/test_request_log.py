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
from server_process import Server, predict_request
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


def test_records_are_written_to_files_of_a_bounded_size(tmp_path: Path) -> None:
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append, max_file_bytes=200)
    for value in range(20):
        log.offer(lambda value=value: record(value))  # type: ignore[misc]
    log.close()
    assert values(tmp_path) == list(range(20))
    assert len(list(tmp_path.glob("requests-*.tfrecord"))) > 3
    assert counted == ["written"] * 20


def test_a_sample_is_taken_and_the_others_are_not_even_made(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> prediction_log_pb2.PredictionLog:
        made.append(1)
        return record(1.0)

    log = RequestLog("tiny", config(tmp_path / "requests", rate=0.1), lambda _status: None)
    for _ in range(2000):
        log.offer(make)
    log.close()
    assert 100 < len(made) < 320
    assert len(values(tmp_path)) == len(made)


def test_a_log_that_cannot_be_written_loses_records_and_still_ends(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "gone/requests"), counted.append)
    (tmp_path / "gone").rmdir()
    for _ in range(3):
        log.offer(lambda: record(1.0))
    log.close()
    assert counted == ["lost"] * 3


def test_a_record_that_cannot_be_made_or_taken_is_lost_and_the_next_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_what_waits_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(_log: RequestLog) -> Path:
        begun.set()
        assert go_on.wait(10)
        return tmp_path / "requests-1.tfrecord"

    monkeypatch.setattr(RequestLog, "_new_path", hold)
    monkeypatch.setattr(request_log, "MAX_QUEUED_BYTES", 3 * record(1.0).ByteSize() + 100)
    counted: list[str] = []
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append)
    log.offer(lambda: record(0.0))
    assert begun.wait(10)  # what is written does not wait any more
    for value in range(1, 10):
        log.offer(lambda value=value: record(value))  # type: ignore[misc]
    lost = len(counted)
    assert set(counted) == {"lost"}
    assert 5 <= lost <= 6
    go_on.set()
    log.close()
    assert values(tmp_path) == list(range(10 - lost))
    log.offer(lambda: record(20.0))
    log.close()
    assert counted[-1] == "written"


def test_two_logs_of_one_prefix_write_to_files_of_their_own(tmp_path: Path) -> None:
    logs = [RequestLog("tiny", config(tmp_path / "requests"), lambda _status: None) for _ in range(2)]
    for number, log in enumerate(logs):
        log.offer(lambda number=number: record(number))  # type: ignore[misc]
    for log in logs:
        log.close()
    assert sorted(values(tmp_path)) == [0, 1]


@pytest.mark.parametrize(
    ("kind", "prefix", "said"),
    [("kafka", "/tmp/x", "type 'kafka'; expected one of"), ("jsonl", "relative", "expected an absolute path")],
)
def test_a_log_that_makes_no_sense_is_refused(kind: str, prefix: str, said: str) -> None:
    with pytest.raises(ServingError, match=said):
        RequestLog("tiny", config(prefix, kind), lambda _status: None)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_that_is_no_share_is_refused(tmp_path: Path, rate: float) -> None:
    wrong = config(str(tmp_path / "log"), "jsonl")
    wrong.sampling_config.sampling_rate = rate
    with pytest.raises(ServingError, match=f"model tiny: found sampling_rate {rate:g}; expected 0 to 1"):
        RequestLog("tiny", wrong, lambda _status: None)


def test_the_server_logs_what_either_protocol_asked_and_was_answered(
    serve: Callable[..., Server], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    models = tmp_path / "models.config"
    models.write_text(
        f'model_config_list {{ config {{ name: "tiny" base_path: "{tmp_path / "base"}" model_platform: "tensorflow" '
        f"logging_config {{ {config(tmp_path / 'requests', 'jsonl')} }} }} }}"
    )
    server = serve(f"--model_config_file={models}")
    assert server.predict(values=(1.0,)) == [2.5]
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": [3.0]})[0] == 200
    assert server.json("POST", "/v1/models/tiny:predict", {"instances": ["a"]})[0] == 400
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    server.prediction.Classify(request)
    assert server.stop() == 0
    [path] = tmp_path.glob("requests-*.jsonl")
    logged = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["predict_log"]["request"]["inputs"]["x"]["float_val"] for each in logged[:2]] == [[1.0], [3.0]]
    assert [each["predict_log"]["response"]["outputs"]["y"]["float_val"] for each in logged[:2]] == [[2.5], [3.5]]
    assert logged[2]["classify_log"]["response"]["model_spec"]["version"] == "1"
    assert all(each["log_metadata"]["sampling_config"]["sampling_rate"] == 1.0 for each in logged)


def log_threads() -> int:
    return sum(thread.name == "log tiny" for thread in threading.enumerate())


def test_what_is_offered_after_the_end_is_written_too(tmp_path: Path) -> None:
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
    made = ModelConfig(name="tiny", base_path=str(base), model_platform="tensorflow")
    if log:
        made.logging_config.CopyFrom(config(log))
    return [made, *(ModelConfig(name=name, base_path=str(base), model_platform="tensorflow") for name in more)]


class Held(Servable):
    """Answers once it is let go on."""

    begun, go_on = threading.Event(), threading.Event()

    def run(self, *arguments: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(10)
        return super().run(*arguments)


@pytest.fixture
def handler(tiny: Path, tmp_path: Path) -> Iterator[RequestHandler]:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    Held.begun.clear()
    Held.go_on.set()
    handler = RequestHandler(ModelManager(Held, Retries(0, 0)), Metrics(), HandlerSettings())
    yield handler
    handler.close()


def test_a_change_that_is_refused_leaves_the_log_as_it_was(handler: RequestHandler, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("change", ["swapped", "taken away"])
def test_a_request_under_way_is_logged_whatever_becomes_of_its_log(
    handler: RequestHandler, tmp_path: Path, change: str
) -> None:
    base = tmp_path / "base"
    handler.configure(models(base, tmp_path / "old"))
    assert handler.manager.wait_available(["tiny"])
    Held.go_on.clear()
    request = predict_request("tiny", np.array([1], np.float32))
    under_way = threading.Thread(target=handler.predict, args=(request, "GRPC"))
    under_way.start()
    assert Held.begun.wait(10)
    handler.configure(models(base, tmp_path / "new") if change == "swapped" else [])
    Held.go_on.set()
    under_way.join()
    handler.close()
    assert values(tmp_path) == [1.0]
    assert log_threads() == 0


def test_changes_at_the_same_time_leave_a_log_that_is_open(
    handler: RequestHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, configure = tmp_path / "base", handler.manager.configure
    handler.configure(models(base, tmp_path / "old"))

    def slow(*arguments: Any) -> None:
        time.sleep(0.2)  # so that the changes would meet
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
    assert log_threads() == 1, "a log that was closed writes each record to a file of its own"
    handler.close()
    assert values(tmp_path) == [1.0, 2.0]
    assert log_threads() == 0


def test_a_log_that_is_turned_off_writes_no_more(handler: RequestHandler, tmp_path: Path) -> None:
    handler.configure(models(tmp_path / "base", tmp_path / "old"))
    assert handler.manager.wait_available(["tiny"])
    handler.configure(models(tmp_path / "base", None))
    handler.predict(predict_request("tiny", np.array([1], np.float32)), "GRPC")
    handler.close()
    assert values(tmp_path) == []
