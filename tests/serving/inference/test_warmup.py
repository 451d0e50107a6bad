import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import tensorflow as tf
from server_process import Embedded, predict_request
from tensorflow_serving.apis import prediction_log_pb2

from artifacts.names import WARMUP_FILE
from serving.errors import Code, ServingError
from serving.inference.warmup import warm_up
from serving.models.servable import Servable

PredictionLog: TypeAlias = prediction_log_pb2.PredictionLog
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


class Counted(Servable):
    """Records which signatures were run."""

    def __init__(self, path: Path) -> None:
        super().__init__("tiny", 1, path)
        self.ran: list[str] = []

    def run(self, key: str, *arguments: Any) -> Any:
        self.ran.append(key)
        return super().run(key, *arguments)


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "base/1"))


def write(model: Path, logs: Sequence[PredictionLog | bytes]) -> None:
    (model / WARMUP_FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(model / WARMUP_FILE)) as writer:
        for log in logs:
            writer.write(log if isinstance(log, bytes) else log.SerializeToString())


def predict_log(signature: str = "serving_default") -> PredictionLog:
    log = PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("tiny", np.array([1], np.float32), signature_name=signature))
    return log


def example_log(kind: str, signature: str) -> PredictionLog:
    log = PredictionLog()
    request = getattr(log, kind).request
    request.model_spec.name, request.model_spec.signature_name = "tiny", signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    return log


def multi_log() -> PredictionLog:
    log = PredictionLog()
    request = log.multi_inference_log.request
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    for signature, method in (("classify", CLASSIFY), ("regress", REGRESS)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "tiny", signature
    return log


def test_every_kind_of_request_is_replayed_the_given_number_of_times(model: Path) -> None:
    write(
        model,
        [predict_log(), example_log("classify_log", "classify"), example_log("regress_log", "regress"), multi_log()],
    )
    servable = Counted(model)
    assert warm_up(servable, 2) == 4
    assert servable.ran == [
        *["serving_default"] * 2,
        *["classify"] * 2,
        *["regress"] * 2,
        *["classify", "regress"] * 2,
    ]


def test_version_without_warmup_requests_is_not_warmed_up(model: Path) -> None:
    servable = Counted(model)
    assert warm_up(servable) == 0
    assert servable.ran == []


def test_warmup_accepts_at_most_a_thousand_requests(model: Path) -> None:
    servable = Counted(model)
    write(model, [predict_log()] * 1000)
    assert warm_up(servable) == 1000
    write(model, [predict_log()] * 1001)
    with pytest.raises(ServingError, match=r"Number of warmup records exceeds the maximum \(1000\)"):
        warm_up(servable)


@pytest.mark.parametrize(
    ("logs", "code", "message"),
    [
        ([predict_log("nope")], Code.FAILED_PRECONDITION, "nope"),
        ([predict_log(), b"\xff\xff"], Code.DATA_LOSS, "Failed to read warmup data"),
        ([PredictionLog(session_run_log={})], Code.UNIMPLEMENTED, "Unsupported log_type for warmup: session_run_log"),
        ([PredictionLog()], Code.UNIMPLEMENTED, "Unsupported log_type"),
    ],
)
def test_failing_or_unreadable_warmup_request_fails_the_version(
    model: Path, logs: list[PredictionLog | bytes], code: Code, message: str
) -> None:
    write(model, logs)
    with pytest.raises(ServingError, match=message) as caught:
        warm_up(Counted(model))
    assert caught.value.code == code


def test_warmup_file_that_is_not_a_tfrecord_fails_the_version(model: Path) -> None:
    (model / WARMUP_FILE).parent.mkdir()
    (model / WARMUP_FILE).write_bytes(b"some text instead of records")
    with pytest.raises(ServingError, match="Please verify the file") as caught:
        warm_up(Counted(model))
    assert caught.value.code == Code.DATA_LOSS


def write_calls(path: Path) -> Path:
    """Writes a model that returns how many times it was called."""
    module = tf.Module()
    module.calls = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.fill(tf.shape(x), tf.cast(module.calls.assign_add(1), tf.float32))}

    tf.saved_model.save(module, str(path), signatures=run)
    return path


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_calls(tmp_path_factory.mktemp("counting") / "model")


@pytest.mark.parametrize(
    ("flag", "calls"),
    [
        ("--num_request_iterations_for_warmup=3", 4.0),
        ("--enable_model_warmup", 2.0),
        ("--enable_model_warmup=false", 1.0),
    ],
)
def test_flags_control_warmup(
    embed: Callable[..., Embedded], counting: Path, tmp_path: Path, flag: str, calls: float
) -> None:
    """Checks the number of warm-up calls before the first request, and the metric of their duration."""
    model = Path(shutil.copytree(counting, tmp_path / "base/1"))
    write(model, [predict_log()])
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    flags = ("--model_name=tiny", f"--model_base_path={tmp_path / 'base'}", "--max_num_load_retries=0", flag)
    server = embed(*flags, f"--monitoring_config_file={tmp_path / 'monitoring'}")
    assert server.predict() == [calls]
    page = server.rest("GET", "/monitoring/prometheus/metrics")[1].decode()
    latency = f':tensorflow:serving:model_warmup_latency_count{{model_path="{model}",status="OK"}} 1\n'
    assert (latency in page) == (calls > 1)
    assert f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{model}",status="success"}} 1\n' in page
