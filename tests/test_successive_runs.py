"""Runs in one output folder, one after the other: killed, completed, repeated, changed and skewed."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from conftest import newest, run
from killed_run import KILLED_IN, TAKES_A_MOMENT, killed_run
from ml_metadata.proto import metadata_store_pb2
from pushed_run import PushedRun, executed, open_store
from skewed_models import SecondImplementation, export_untrained

from lineage.queries.diff import diff
from lineage.queries.find_artifact import find_artifact
from lineage.queries.find_run import find_run
from lineage.queries.impact import impact
from lineage.queries.results import Change, Trace
from lineage.queries.trace import trace
from lineage.queries.why import why
from lineage.store.connection import open_reader
from serving.edge import load

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AFTER_TUNER = {"Trainer", "SkewGuard", "Evaluator", "TfliteExporter", "Pusher"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, table: Path) -> PushedRun:
    """A run that was stopped, killed in each node, and then completed."""
    made = killed_run(tmp_path_factory.mktemp("first"), table)
    finished = made.rerun()
    assert finished.code == 0, finished.stderr
    return dataclasses.replace(made, finished=finished)


def versions(output: Path) -> list[Path]:
    return sorted([*output.glob("serving/taxi/*"), *output.glob("tflite/taxi/*")])


def test_same_command_completes_after_a_kill_in_any_node(first: PushedRun) -> None:
    assert first.finished.summary["status"] == "pushed"
    assert_store_is_whole(first.output)
    runs = open_reader(first.output).runs()
    assert [run.status for run in runs] == ["pushed", *["interrupted"] * (1 + len(KILLED_IN))]
    assert all(run.origin and run.origin.settings["tflite"]["enabled"] for run in runs)
    assert_every_version_loads(first.output)


def assert_store_is_whole(output: Path) -> None:
    store, reader = open_store(output), open_reader(output)
    executions = store.get_executions()
    assert metadata_store_pb2.Execution.RUNNING not in [execution.last_known_state for execution in executions]
    failed = metadata_store_pb2.Execution.FAILED
    assert {reader.node_of(each.id) for each in executions if each.last_known_state == failed} >= {
        node for node, _ in KILLED_IN
    } - TAKES_A_MOMENT
    for artifact in store.get_artifacts():
        if artifact.state == metadata_store_pb2.Artifact.LIVE:
            assert Path(artifact.uri).exists(), artifact


def assert_every_version_loads(output: Path) -> None:
    served = [path for path in (output / "serving/taxi").iterdir() if path.name.isdigit()]
    assert served
    for version in served:
        assert "serving_default" in tf.saved_model.load(str(version)).signatures
    for version in (output / "tflite/taxi").iterdir():
        load(version / "model.tflite").predict({})


def test_model_missing_on_devices_is_pushed_again(first: PushedRun) -> None:
    cached = first.rerun()
    assert set(cached.states.values()) == {"cached"}
    assert cached.summary["tflite"] == first.finished.summary["tflite"]
    shutil.rmtree(first.output / "tflite")
    again = first.rerun()
    assert {node for node, state in again.states.items() if state == "ran"} == {"Pusher"}
    assert Path(again.summary["tflite"]["path"]).exists()


def test_changed_quantization_and_back_reaches_the_devices(first: PushedRun) -> None:
    quantized = first.rerun(tflite__quantization="float16")
    assert quantized.summary["tflite"]["quantization"] == "float16"
    back = first.rerun()
    assert back.states["TfliteExporter"] == "cached"
    newest = max(first.output.glob("tflite/taxi/*"), key=lambda path: int(path.name))
    assert load(newest / "model.tflite").metadata["quantization"] == "none"
    assert back.summary["tflite"]["path"] == str(newest / "model.tflite")


def test_model_that_misses_a_tflite_bound_is_not_pushed(first: PushedRun) -> None:
    before = versions(first.output)
    blocked = first.rerun(tflite__max_difference=0.0)
    assert blocked.code == 4
    summary = blocked.summary
    assert summary["status"] == "not_blessed"
    assert summary["pushed"] is None
    assert summary["tflite"]["path"] is None
    assert summary["error"].startswith("TfliteExporter: tflite_max_abs_diff is ")
    [missed] = [each for each in summary["thresholds"] if not each["ok"]]
    assert (missed["metric"], missed["bound"]) == ("tflite_max_abs_diff", 0.0)
    assert versions(first.output) == before


def test_changed_network_reruns_from_the_tuner_and_is_pushed_next_to_the_previous_model(first: PushedRun) -> None:
    weak = first.rerun()
    settings = {"training": {"steps": 120, "batch_size": 64, "evaluate_every": 20}}
    better = first.rerun(network__hyperparameters={"hidden_units": 17, "learning_rate": 0.01}, **settings)
    assert better.code == 0, better.stderr
    assert executed(first.output, better.summary["run_id"]) == {"Tuner", *AFTER_TUNER}
    assert better.summary["baseline"] == weak.summary["pushed"]["version"]
    change = next(each for each in better.summary["thresholds"] if each["kind"] == "change")
    assert change["value"] == pytest.approx(better.summary["metrics"]["auc"] - weak.summary["metrics"]["auc"], abs=1e-6)
    assert int(better.summary["pushed"]["version"]) > int(weak.summary["pushed"]["version"])
    assert (first.output / "serving/taxi" / weak.summary["pushed"]["version"] / "saved_model.pb").is_file()
    reader = open_reader(first.output)
    before, after = (find_run(reader, each.summary["run_id"]) for each in (weak, better))
    assert diff(reader, before, after).changes == [
        Change("settings", "network.hyperparameters.hidden_units", 16, 17),
        Change("settings", "training.steps", 60, 120),
    ]
    found = impact(reader, find_artifact(reader, first.output, "ExampleGen.examples"))
    *pushed_before, last = [each.version for each in found.versions]
    assert last == better.summary["pushed"]["version"]
    assert weak.summary["pushed"]["version"] in pushed_before
    weak_model, better_model = found.models
    found = impact(reader, find_artifact(reader, first.output, weak_model.name))
    assert [each.version for each in found.versions] == pushed_before
    assert found.baseline_of == [better_model]


def test_changed_features_rerun_from_transform_and_no_tune_uses_the_hyperparameters_of_the_settings(
    first: PushedRun,
) -> None:
    settings = {"features__bucketed": {}, "evaluation__thresholds": [{"metric": "auc", "min": 0.6}]}
    shown = first.rerun("--no-tune", "--to=Trainer", **settings)
    assert executed(first.output, shown.summary["run_id"]) == {"Transform", "Trainer"}
    assert "Tuner" not in shown.states
    assert shown.summary["hyperparameters"]["hidden_units"] == 16
    assert shown.summary["status"] == "partial"
    assert shown.states["Pusher"] == "skipped"
    rest = first.rerun("--no-tune", "--from=Evaluator", **settings)
    assert rest.code == 0, rest.stderr
    assert rest.states["Trainer"] == "skipped"
    assert rest.summary["pushed"] is not None
    assert rest.summary["rows"] == shown.summary["rows"]
    assert executed(first.output, rest.summary["run_id"]) == AFTER_TUNER - {"Trainer"}
    reader = open_reader(first.output)
    reason = why(reader, find_run(reader, rest.summary["run_id"]), "Trainer")
    assert reason.because.startswith("reused by --from")
    assert reason.same_as == shown.summary["run_id"]
    assert find_run(reader, shown.summary["run_id"]).status == "partial"


def test_model_that_is_no_longer_served_is_pushed_again(first: PushedRun) -> None:
    again = first.rerun()
    # Another model was pushed since. This one is compared with it, and pushed over it.
    assert executed(first.output, again.summary["run_id"]) == {"Evaluator", "TfliteExporter", "Pusher"}
    assert again.summary["pushed"]["version"] > first.finished.summary["pushed"]["version"]
    shutil.rmtree(first.output / "serving")
    last = first.rerun("--from=Pusher")
    assert executed(first.output, last.summary["run_id"]) == {"Pusher"}
    assert (Path(last.summary["pushed"]["path"]) / "saved_model.pb").is_file()


@pytest.fixture
def served(first: PushedRun) -> Trace:
    """Where the newest served version came from."""
    version = max((first.output / "serving/taxi").iterdir(), key=lambda path: int(path.name))
    reader = open_reader(first.output)
    return trace(reader, find_artifact(reader, first.output, version.name))


@pytest.fixture
def model_dir(served: Trace) -> Iterator[Path]:
    """The Trainer's model, restored after the test."""
    folder = Path(served.model[0].uri) / "Format-Serving"
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


def assert_blocked(first: PushedRun, *named: str, **settings: Any) -> None:
    before = versions(first.output)
    guarded = first.rerun("--from=SkewGuard", "--no-cache", **settings)
    assert guarded.code == 4, guarded.stderr
    assert guarded.summary["status"] == "not_blessed"
    assert guarded.summary["pushed"] is None
    assert [word for word in named if word not in guarded.summary["error"]] == []
    assert versions(first.output) == before
    skew = json.loads((newest(first.output, "SkewGuard/report") / "report.json").read_text())["skew"]
    assert skew["expected"] != skew["found"]


def test_second_implementation_of_a_feature_is_not_pushed(first: PushedRun, served: Trace, model_dir: Path) -> None:
    export_untrained(SecondImplementation(served.transform_graph[0].uri), model_dir)
    assert_blocked(first, "SkewGuard: transformed differs", "transform_features, fare_dense", "example")


def test_edited_vocabulary_is_not_pushed(first: PushedRun, model_dir: Path) -> None:
    vocabulary = model_dir / "assets/payment_type_vocabulary"
    lines = vocabulary.read_text().splitlines()
    vocabulary.write_text("\n".join([lines[1], lines[0], *lines[2:], ""]))
    assert_blocked(first, "SkewGuard: vocabulary differs", "payment_type_vocabulary")


def test_transform_graph_of_another_run_is_not_pushed(first: PushedRun, model_dir: Path, tmp_path: Path) -> None:
    other = run(tmp_path, f"--data={first.table}", "--to=Transform", "--json", data__split_seed=5)
    assert other.code == 0, other.stderr
    export_untrained(tft.TFTransformOutput(str(newest(tmp_path, "Transform/transform_graph"))), model_dir)
    assert_blocked(first, "SkewGuard: graph differs in transform_features", "_dense of example 0")


def test_model_that_cannot_be_loaded_is_not_pushed(first: PushedRun) -> None:
    """The Evaluator blesses this model. Only SkewGuard blocks it."""
    assert_blocked(first, "SkewGuard: server differs", "at most 100 MB", skew_guard={"max_megabytes": 100})
