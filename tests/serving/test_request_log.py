import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from server_process import Server, predict_request
from tensorflow_serving.apis import classification_pb2, prediction_log_pb2
from tensorflow_serving.config import logging_config_pb2

from serving.errors import ServingError
from serving.request_log import RequestLog


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
    log = RequestLog("tiny", config(tmp_path / "requests"), counted.append, most_bytes=200)
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
