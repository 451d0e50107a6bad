import dataclasses
import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from predictions import assert_same_predictions
from random_rows import random_rows
from small_table import CODE, ON_DEVICES, PLAIN, USER, Row, encode, export_random, small_table, write_raw
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model, ModelBlessing, TransformGraph

from artifacts.names import REPORT_FILE, TFLITE_FILE
from artifacts.nodes.tflite import upper_bound
from common.error_reason import reason
from custom_components.shared.artifact_types import TfliteModel
from custom_components.tflite_exporter import executor
from custom_components.tflite_exporter.comparison import compare, quality
from custom_components.tflite_exporter.farmhash import TEXT_BYTES
from models.problem.problem import Problem
from models.signatures import SERVING
from serving.edge import EdgeModel
from serving.models.tflite_servable import TfliteServable

# The network of each task, after all kinds of features that a device can compute in one of them.
PROBLEMS = {
    task: problem
    if task == "binary"
    else dataclasses.replace(problem, features=dataclasses.replace(problem.features, date={}, crossed={}, numbers={}))
    for task, problem in ON_DEVICES.items()
}
SETTINGS = {"max_examples": 10_000, "max_difference": 1e-5, "max_quality_loss": 0.002}


@dataclasses.dataclass(frozen=True)
class Exported:
    """What the node gave for a network of random weights."""

    problem: Problem
    model_dir: Path
    artifact: TfliteModel

    @property
    def content(self) -> bytes:
        return (Path(self.artifact.uri) / TFLITE_FILE).read_bytes()

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((Path(self.artifact.uri) / REPORT_FILE).read_text())
        return report

    @property
    def blessed(self) -> bool:
        return bool(self.artifact.get_int_custom_property("blessed"))

    @property
    def reason(self) -> str:
        return self.artifact.get_string_custom_property("reason")

    @functools.cached_property
    def device(self) -> EdgeModel:
        return EdgeModel(self.content)

    @functools.cached_property
    def signature(self) -> Any:
        return tf.saved_model.load(str(self.model_dir)).signatures[SERVING]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights for each task."""
    folder = tmp_path_factory.mktemp("models")
    for task, problem in PROBLEMS.items():
        export_random(problem, folder / task / "Format-Serving", hidden_units=64)
    return folder


@pytest.fixture(scope="module", autouse=True)
def conversions() -> Iterator[None]:
    """Converts each model once per quantization: all nodes have the same graph and representative rows."""
    convert, known = executor.export, dict[tuple[str, str], bytes]()

    def export(inputs: Any, properties: Any, problem: Problem, model_dir: str) -> bytes:
        key = model_dir, properties["quantization"]
        if key not in known:
            known[key] = convert(inputs, properties, problem, model_dir)
        return known[key]

    with mock.patch.object(executor, "export", export):
        yield


def run_node(
    model: Path, folder: Path, rows: list[Row] | None = None, blessed: tuple[int, int] = (1, 1), **changes: Any
) -> Exported:
    """Runs the node; the model's folder is named for its task."""
    problem = next(problem for task, problem in PROBLEMS.items() if task == model.name)
    for kind, split in (("raw", "eval"), ("transformed", "train")):
        (folder / f"{kind}/Split-{split}").mkdir(parents=True, exist_ok=True)
    write_raw(folder / "raw/Split-eval/examples.gz", small_table().rows if rows is None else rows)
    small_table().write(folder / "transformed/Split-train/examples.gz", small_table().rows[:100])
    inputs: dict[str, Any] = {
        "examples": Examples(),
        "transformed_examples": Examples(),
        "transform_graph": TransformGraph(),
        "model": Model(),
        "model_blessing": ModelBlessing(),
        "infra_blessing": InfraBlessing(),
    }
    for key, place in (("examples", "raw"), ("transformed_examples", "transformed")):
        inputs[key].uri = str(folder / place)
    inputs["transform_graph"].uri, inputs["model"].uri = small_table().graph_dir, str(model)
    inputs["examples"].split_names, inputs["transformed_examples"].split_names = '["eval"]', '["train"]'
    inputs["model_blessing"].set_int_custom_property("blessed", blessed[0])
    inputs["infra_blessing"].set_int_custom_property("blessed", blessed[1])
    output = TfliteModel()
    output.uri = str(folder / "tflite")
    Path(output.uri).mkdir(exist_ok=True)
    places = {"model_name": "small", "split": "eval", "representative_split": "train"}
    properties = {**SETTINGS, **places, "quantization": "none", **changes, "problem": json.dumps(problem.to_config())}
    executor.Executor().Do({key: [each] for key, each in inputs.items()}, {"tflite_model": [output]}, properties)
    return Exported(problem, model / "Format-Serving", output)


@pytest.fixture(scope="module", params=sorted(PROBLEMS))
def exported(request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return run_node(models / request.param, tmp_path_factory.mktemp("exported"))


def test_the_model_runs_on_builtin_operators_and_predicts_like_the_saved_model(exported: Exported) -> None:
    report = exported.report
    assert exported.blessed
    assert exported.reason == ""
    assert report["rows"] == len(small_table().rows)
    assert report["builtin_only"]
    assert report["max_abs_diff"] <= 1e-5
    assert report["metric"] == {"binary": "auc", "multiclass": "accuracy", "regression": "r2"}[exported.problem.task]
    assert report["tflite"] == pytest.approx(report["saved_model"], abs=1e-4)
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["bytes"] == len(exported.content)
    for key in ("bytes", "max_abs_diff", "p50_ms", "p99_ms", "quantization", "builtin_only", "rows"):
        assert exported.artifact.get_custom_property(key) == report[key]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=random_rows)
def test_random_rows_are_predicted_as_by_the_saved_model(exported: Exported, row: Row) -> None:
    # A network of random weights overflows at the ends of a float32; what becomes of those is test_rewrite.py's.
    fitting = {name: _fitting(value) for name, value in row.items() if name in exported.problem.features.columns}
    expected = exported.signature(tf.constant([encode(fitting)]))["predictions"].numpy()[0]
    np.testing.assert_allclose(exported.device.predict(fitting), expected, rtol=1e-4, atol=1e-5)


def _fitting(value: float | int | str | bytes | None) -> float | int | str | bytes | None:
    if isinstance(value, float):
        return min(max(value, -1e4), 1e4)
    return min(max(value, -10_000), 10_000) if isinstance(value, int) else value[:TEXT_BYTES] if value else value


def test_the_models_metadata_describes_inputs_and_outputs(exported: Exported) -> None:
    metadata = exported.device.metadata
    assert metadata["model"] == "small"
    assert metadata["task"] == exported.problem.task
    assert metadata["classes"] == list(exported.problem.class_names)
    assert [feature["name"] for feature in metadata["features"]] == sorted(exported.problem.features.columns)
    assert {"name": "age", "dtype": "int64", "bytes": 0} in metadata["features"]
    assert {"name": USER, "dtype": "string", "bytes": TEXT_BYTES} in metadata["features"]


def test_a_server_takes_the_columns_by_name(exported: Exported) -> None:
    row = small_table().rows[3]
    fitting = {name: row[name] for name in exported.problem.features.columns}
    served = TfliteServable("small", 1, Path(exported.artifact.uri))
    [signature] = served.signatures
    assert set(served.signatures[signature].inputs) == set(fitting) >= {USER, CODE, PLAIN}
    found = served.run(signature, exported.device.encode(fitting), ["predictions"])
    assert_same_predictions({"predictions": found["predictions"][0]}, {"predictions": exported.device.predict(fitting)})


@pytest.mark.parametrize(
    "quantization",
    [*(pytest.param(kind, marks=pytest.mark.slow) for kind in ("dynamic_range", "float16")), "int8"],
)
def test_only_the_network_is_quantized(models: Path, tmp_path: Path, quantization: str) -> None:
    quantized = run_node(models / "binary", tmp_path, quantization=quantization, max_quality_loss=0.05)
    assert quantized.blessed
    assert quantized.report["quantization"] == quantization
    assert quantized.report["builtin_only"]
    assert 1e-5 < quantized.report["max_abs_diff"] < 0.2
    loss, difference = quantized.report["bounds"]
    assert (loss["metric"], difference["metric"]) == ("tflite_auc_loss", "tflite_max_abs_diff")
    assert difference["value"] <= 1e-5  # of the model before it was quantized
    assert ("QUANTIZE" in quantized.report["operators"]) == (quantization == "int8")


@pytest.mark.parametrize("blessed", [(0, 1), (1, 0)])
def test_a_model_that_is_not_blessed_is_not_exported(models: Path, tmp_path: Path, blessed: tuple[int, int]) -> None:
    refused = run_node(models / "binary", tmp_path, blessed=blessed)
    assert not refused.blessed
    assert list(Path(refused.artifact.uri).iterdir()) == []


def test_a_model_beyond_a_bound_is_not_blessed_and_says_which(models: Path, tmp_path: Path) -> None:
    blocked = run_node(models / "binary", tmp_path, max_difference=0.0)
    assert not blocked.blessed
    assert blocked.reason.startswith("tflite_max_abs_diff is ")
    assert blocked.reason.endswith("; expected at most 0")


def test_the_tflite_of_another_model_differs(exported: Exported, tmp_path: Path) -> None:
    export_random(exported.problem, tmp_path / "other", hidden_units=4)
    files = write_raw(tmp_path / "rows.gz", small_table().rows[:50])
    comparison = compare(exported.content, str(tmp_path / "other"), files, exported.problem, 40)
    assert comparison.max_abs_diff > 0.1
    assert comparison.rows == 40


def test_a_text_that_is_too_long_to_be_hashed_is_reported(exported: Exported, tmp_path: Path) -> None:
    files = write_raw(tmp_path / "rows.gz", [{USER: "x" * 65, "amount": 1.0}])
    with pytest.raises(ValueError, match="feature 'self'") as caught:
        compare(exported.content, str(exported.model_dir), files, exported.problem, 10)
    assert reason(caught.value) == (
        "feature 'self': found a string of 65 bytes; expected at most 64; remove the feature, or set tflite.enabled "
        "to false"
    )


def test_an_empty_split_is_an_error(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the eval split has no rows"):
        compare(exported.content, str(exported.model_dir), write_raw(tmp_path / "rows.gz", []), exported.problem, 10)


def test_a_metric_that_is_not_defined_blocks_the_model_and_can_be_recorded(models: Path, tmp_path: Path) -> None:
    rows: list[Row] = [{**row, "amount": 99.0} for row in small_table().rows[:20]]  # of one class
    blocked = run_node(models / "binary", tmp_path, rows=rows)
    assert not blocked.blessed
    assert blocked.reason == "tflite_auc_loss is not defined on the eval split; expected at most 0.002"
    assert blocked.report["loss"] is None
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    store = metadata_store.MetadataStore(config)
    blocked.artifact.type_id = store.put_artifact_type(blocked.artifact.artifact_type)
    [recorded] = store.put_artifacts([blocked.artifact.mlmd_artifact])
    assert store.get_artifacts_by_id([recorded])[0].custom_properties["reason"].string_value == blocked.reason


def test_a_bound_is_kept_up_to_itself() -> None:
    bound = upper_bound("loss", 0.5)
    assert bound.check(0.5).ok
    assert not bound.check(0.50001).ok
    assert not bound.check(math.nan).ok


@pytest.mark.parametrize(
    ("task", "labels", "predictions", "expected"),
    [
        ("binary", [0, 1, 0, 1], [[0.1], [0.4], [0.5], [0.9]], 0.75),
        ("binary", [0, 1, -1], [[0.1], [0.9], [0.0]], 1.0),
        ("binary", [1, 1], [[0.1], [0.9]], math.nan),
        ("binary", [0, 1], [[math.nan], [0.9]], math.nan),
        ("regression", [0.5, 1.5], [[math.inf], [0.9]], math.nan),
        ("multiclass", [2, 0, -1], [[0.1, 0.2, 0.7], [0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], 0.5),
        ("regression", [1.0, 2.0, 3.0], [[1.0], [2.0], [4.0]], 0.5),
    ],
)
def test_quality_is_the_tasks_metric(
    task: str, labels: list[float], predictions: list[list[float]], expected: float
) -> None:
    assert quality(task, np.array(labels), np.array(predictions)) == pytest.approx(expected, nan_ok=True)
