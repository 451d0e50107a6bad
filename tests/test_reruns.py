"""Runs that push again: after a change, and after a pushed version was removed."""

import shutil
from pathlib import Path

import pytest
from pushed_run import PushedRun, executed, make_run

from serving.edge import load

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AFTER_TUNER = {"Trainer", "SkewGuard", "Evaluator", "TfliteExporter", "Pusher"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, table: Path) -> PushedRun:
    """A run of this module, since its tests push."""
    made = make_run(tmp_path_factory.mktemp("first"), table)
    assert made.finished.code == 0, made.finished.stderr
    return made


def versions(output: Path) -> list[Path]:
    return sorted([*output.glob("serving/taxi/*"), *output.glob("tflite/taxi/*")])


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


def test_changed_network_reruns_from_the_tuner(first: PushedRun) -> None:
    again = first.rerun(network__hyperparameters={"hidden_units": 17, "learning_rate": 0.01})
    assert executed(first.output, again.summary["run_id"]) == {"Tuner", *AFTER_TUNER}


def test_changed_features_rerun_from_transform(first: PushedRun) -> None:
    again = first.rerun("--no-tune", features__bucketed={})
    assert executed(first.output, again.summary["run_id"]) == {"Transform", *AFTER_TUNER}


def test_model_that_is_no_longer_served_is_pushed_again(first: PushedRun) -> None:
    again = first.rerun()
    # Another model was pushed since. This one is compared with it, and pushed over it.
    assert executed(first.output, again.summary["run_id"]) == {"Evaluator", "TfliteExporter", "Pusher"}
    assert again.summary["pushed"]["version"] > first.finished.summary["pushed"]["version"]
    shutil.rmtree(first.output / "serving")
    last = first.rerun("--from=Pusher")
    assert executed(first.output, last.summary["run_id"]) == {"Pusher"}
    assert (Path(last.summary["pushed"]["path"]) / "saved_model.pb").is_file()
