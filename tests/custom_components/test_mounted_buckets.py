"""Steps that write into a bucket by the folder where Vertex AI mounts it; here another one stands for it."""

import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from small_table import BINARY, small_table
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model, ModelBlessing, TransformGraph

import common.bucket_paths
from artifacts.nodes.skew import SkewReport, read_skew_report
from custom_components.shared.artifact_types import TfliteModel
from custom_components.shared.examples import split_files
from custom_components.skew_guard import executor as skew_guard
from custom_components.tflite_exporter import executor as tflite_exporter
from custom_components.tflite_exporter.comparison import Comparison
from custom_components.tflite_exporter.convert import convert_function


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common.bucket_paths, "MOUNT", f"{tmp_path}/gcs/")
    return tmp_path / "gcs"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    model = Model()
    model.uri = str(tmp_path / "model")
    (tmp_path / "model/Format-Serving").mkdir(parents=True)
    (tmp_path / "model/Format-Serving/saved_model.pb").write_bytes(b"graph")
    return model


def test_the_skew_guard_stamps_the_model_and_reports_in_a_bucket(
    mount: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def check(_inputs: object, _settings: object, stamped: Path) -> SkewReport:
        seen.append(stamped)
        return SkewReport()

    monkeypatch.setattr(skew_guard, "check_model", check)
    blessing, report = InfraBlessing(), Examples()
    blessing.uri, report.uri = "gs://ours/blessing", "gs://ours/report"
    skew_guard.Executor().Do({"model": [model]}, {"blessing": [blessing], "report": [report]}, {})
    assert (mount / "ours/blessing" / seen[0].name / "saved_model.pb").read_bytes() == b"graph"
    assert read_skew_report(mount / "ours/report") == SkewReport()


def test_the_tflite_exporter_writes_its_model_into_a_bucket(
    mount: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = tf.function(lambda each: each + 1).get_concrete_function(tf.TensorSpec([1, 1], tf.float32))
    content = convert_function(function, "the function")
    comparison = Comparison(rows=1, max_abs_diff=0.0, metric="auc", saved_model=0.5, tflite=0.5, p50_ms=1.0, p99_ms=1.0)
    monkeypatch.setattr(tflite_exporter, "export", lambda *_: content)
    monkeypatch.setattr(tflite_exporter, "compare", lambda *_: comparison)
    monkeypatch.setattr(tflite_exporter, "split_files", lambda *_: [])
    exported, blessing, guard = TfliteModel(), ModelBlessing(), InfraBlessing()
    exported.uri = "gs://ours/exported"
    blessing.set_int_custom_property("blessed", 1)
    guard.set_int_custom_property("blessed", 1)
    graph = TransformGraph()
    graph.uri = small_table().graph_dir
    inputs: dict[str, Any] = {
        "model": [model],
        "transform_graph": [graph],
        "examples": [],
        "model_blessing": [blessing],
        "infra_blessing": [guard],
    }
    settings = {
        "problem": json.dumps(BINARY.to_config()),
        "split": "eval",
        "quantization": "none",
        "max_quality_loss": 0.1,
        "max_examples": 10,
        "max_difference": 0.1,
    }
    tflite_exporter.Executor().Do(inputs, {"tflite_model": [exported]}, settings)
    assert (mount / "ours/exported/model.tflite").read_bytes() == content
    assert json.loads((mount / "ours/exported/report.json").read_text())["rows"] == 1


def test_the_rows_of_a_split_are_found_in_any_file_system() -> None:
    examples = Examples()
    examples.uri, examples.split_names = "ram://mounted/examples", '["train", "eval"]'
    tf.io.gfile.makedirs(f"{examples.uri}/Split-eval")
    with tf.io.gfile.GFile(f"{examples.uri}/Split-eval/rows.gz", "wb") as file:
        file.write(b"rows")
    assert split_files([examples], "eval") == [f"{examples.uri}/Split-eval/rows.gz"]
