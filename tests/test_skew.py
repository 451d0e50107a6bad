import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
import yaml
from conftest import FEATURES, Finished, newest, run
from pushed_run import PushedRun
from tensorflow_serving.apis import prediction_log_pb2

from common.project import ROOT
from models.features import Problem
from models.signatures import export
from models.training.trainer import build_model
from models.training_settings import ModelConfig
from pipeline.config.loading import load_config

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("skew") / "output"


@pytest.fixture(scope="module")
def first(output: Path, table: Path) -> Finished:
    finished = run(output, f"--data={table}", "--no-tune", "--json")
    assert finished.code == 0, finished.stderr
    return finished


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load_config(ROOT / "configs/taxi.yaml", {"features": yaml.safe_dump(FEATURES)}).problem


@pytest.fixture
def model_dir(first: Finished, output: Path) -> Iterator[Path]:
    """The Trainer's model, restored after the test."""
    folder = newest(output, "Trainer/model") / "Format-Serving"
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


def transform_of(output: Path) -> tft.TFTransformOutput:
    return tft.TFTransformOutput(str(newest(output, "Transform/transform_graph")))


def read_report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def assert_blocked(output: Path, table: Path, first: Finished, *named: str, **settings: Any) -> None:
    guarded = run(output, f"--data={table}", "--no-tune", "--from=SkewGuard", "--no-cache", "--json", **settings)
    assert guarded.code == 4, guarded.stderr
    assert guarded.summary["status"] == "not_blessed"
    assert guarded.summary["pushed"] is None
    assert [word for word in named if word not in guarded.summary["error"]] == []
    assert [path.name for path in (output / "serving/taxi").iterdir()] == [first.summary["pushed"]["version"]]
    skew = read_report(newest(output, "SkewGuard/report"))["skew"]
    assert skew["expected"] != skew["found"]


def export_untrained(transform_output: tft.TFTransformOutput, folder: Path, problem: Problem) -> None:
    config = load_config(ROOT / "configs/taxi.yaml")
    settings = ModelConfig(problem=problem, network=config.network, training=config.training)
    shutil.rmtree(folder)
    export(build_model(settings, {"hidden_units": 4}, transform_output), transform_output, problem, str(folder))


class FareAgain(keras.layers.Layer):
    """A second implementation of one feature."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__()
        self.layer = layer

    def call(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = dict(self.layer(raw))
        if "fare_dense" in features:
            features["fare_dense"] = features["fare_dense"] * 1.001
        return features


class SecondImplementation(tft.TFTransformOutput):
    def transform_features_layer(self) -> keras.layers.Layer:
        return FareAgain(super().transform_features_layer())


def test_every_signature_is_compared(pushed_run: PushedRun) -> None:
    reports = pushed_run.output / "artifacts/SkewGuard/report"
    found = read_report(min(reports.iterdir(), key=lambda path: int(path.name)))  # reruns add newer ones
    assert found["skew"] is None
    assert found["examples"] == pushed_run.finished.summary["rows"]["eval"]
    signatures = {"serving_default", "serve_raw", "classify", "transform_features", "transform_label"}
    assert set(found["compared"]) == {*signatures, "transformed_examples"}
    assert found["compared"]["transformed_examples"] > 0.9 * found["examples"]
    assert found["largest_difference"] <= 1e-6
    assert found["server"]["answers"] == 8


def test_the_warmup_requests_have_real_rows_and_no_label(pushed_run: PushedRun) -> None:
    path = Path(pushed_run.finished.summary["pushed"]["path"]) / "assets.extra/tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))
    ]
    requests = [getattr(log, log.WhichOneof("log_type")).request for log in logs]
    asked = {request.model_spec.signature_name for request in requests}
    assert asked == {"serving_default", "serve_raw", "classify", "transform_features"}
    assert {request.model_spec.name for request in requests} == {"taxi"}
    classified = next(request for request in requests if request.model_spec.signature_name == "classify")
    names = classified.input.example_list.examples[0].features.feature
    assert "payment_type" in names
    assert "tips" not in names


@pytest.mark.slow
def test_a_second_implementation_of_a_feature_is_caught(
    first: Finished, output: Path, table: Path, problem: Problem, model_dir: Path
) -> None:
    graph = str(newest(output, "Transform/transform_graph"))
    export_untrained(SecondImplementation(graph), model_dir, problem)
    assert_blocked(output, table, first, "SkewGuard: transformed differs", "transform_features, fare_dense", "example")


@pytest.mark.slow
def test_an_edited_vocabulary_is_caught(first: Finished, output: Path, table: Path, model_dir: Path) -> None:
    vocabulary = model_dir / "assets/payment_type_vocabulary"
    lines = vocabulary.read_text().splitlines()
    vocabulary.write_text("\n".join([lines[1], lines[0], *lines[2:], ""]))
    assert_blocked(output, table, first, "SkewGuard: vocabulary differs", "payment_type_vocabulary")


@pytest.mark.slow
def test_a_transform_graph_of_another_run_is_caught(
    first: Finished, output: Path, table: Path, problem: Problem, model_dir: Path, tmp_path: Path
) -> None:
    other = run(tmp_path, f"--data={table}", "--to=Transform", "--json", data__split_seed=5)
    assert other.code == 0, other.stderr
    export_untrained(transform_of(tmp_path), model_dir, problem)
    assert_blocked(output, table, first, "SkewGuard: graph differs in transform_features", "_dense of example 0")


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_not_pushed(first: Finished, output: Path, table: Path) -> None:
    """The Evaluator blesses this model. Only SkewGuard blocks it."""
    named = ("SkewGuard: server differs", "at most 100 MB")
    assert_blocked(output, table, first, *named, skew_guard={"max_megabytes": 100})
