import json
import math
from pathlib import Path

import pytest

from artifacts.nodes.training import TrainingRecord
from artifacts.summary import Node, Pushed, RunSummary, failed_summary, read_summary
from artifacts.thresholds import ThresholdResult

THRESHOLD = ThresholdResult("auc", "overall", "value", ">=", 0.9, 0.95, True)


def summary(metrics: dict[str, float]) -> RunSummary:
    return RunSummary(
        run_id="20260101T000000.000Z",
        problem="taxi",
        status="pushed",
        nodes=[Node("Trainer", "ran", 1.5, ["Transform"])],
        rows={"train": 7, "eval": 2},
        metrics=metrics,
        thresholds=[THRESHOLD],
        baseline="3",
        hyperparameters={"dropout": 0.3, "layers": [1, math.nan]},
        training=TrainingRecord("mirrored", 1, 2, 1600, 410.5, 0.02, "/logs"),
        pushed=Pushed("4", "/out/4"),
        tflite=None,
        error=None,
        seconds=2.5,
    )


def test_keys_are_those_of_the_contract() -> None:
    record = json.loads(summary({"auc": 0.95}).to_json())
    assert list(record) == [
        *("run_id", "problem", "status", "nodes", "rows", "left_out", "warnings", "metrics", "thresholds", "baseline"),
        *("hyperparameters", "training", "pushed", "tflite", "error", "seconds"),
    ]
    assert record["nodes"] == [{"id": "Trainer", "state": "ran", "seconds": 1.5, "upstream": ["Transform"]}]
    assert list(record["thresholds"][0]) == [
        *("metric", "slice", "kind", "comparison", "bound", "value", "ok", "trivial", "undefined"),
    ]
    assert record["thresholds"][0]["ok"] is True
    assert record["rows"] == {"train": 7, "eval": 2}
    assert record["metrics"] == {"auc": 0.95}
    assert record["pushed"] == {"version": "4", "path": "/out/4"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_become_null(value: float) -> None:
    record = json.loads(summary({"auc": value, "loss": 0.5}).to_json())
    assert record["metrics"] == {"auc": None, "loss": 0.5}
    assert record["hyperparameters"]["layers"] == [1, None]


def test_text_stays_readable() -> None:
    assert '"Łódź"' in failed_summary("Łódź", "error").to_json()


def test_a_refused_run_failed_with_its_error() -> None:
    record = json.loads(failed_summary("taxi", "one line").to_json())
    assert (record["status"], record["problem"], record["error"]) == ("failed", "taxi", "one line")
    assert (record["run_id"], record["pushed"], record["nodes"]) == (None, None, [])
    assert list(record) == list(json.loads(summary({}).to_json()))


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = summary({"auc": 0.95, "loss": math.nan})
    (tmp_path / "summary.json").write_text(written.to_json())
    found = read_summary(tmp_path / "summary.json")
    assert found.metrics == pytest.approx({"auc": 0.95, "loss": math.nan}, nan_ok=True)
    assert found.thresholds == [THRESHOLD]
    assert (found.training, found.pushed, found.tflite) == (written.training, written.pushed, None)
    assert found.to_json() == written.to_json()


def test_a_summary_of_an_earlier_version_may_lack_keys(tmp_path: Path) -> None:
    record = json.loads(summary({"auc": 0.95}).to_json())
    del record["training"], record["tflite"], record["nodes"][0]["upstream"]
    (tmp_path / "summary.json").write_text(json.dumps(record))
    found = read_summary(tmp_path / "summary.json")
    assert (found.training, found.tflite, found.nodes[0].upstream) == (None, None, ())


@pytest.mark.parametrize("training", [{"strategy": "one_device"}, 5, True])
def test_an_incomplete_record_leaves_the_rest_readable(training: object, tmp_path: Path) -> None:
    record = json.loads(summary({"auc": 0.95}).to_json())
    (tmp_path / "summary.json").write_text(json.dumps({**record, "training": training}))
    found = read_summary(tmp_path / "summary.json")
    assert (found.training, found.metrics, found.thresholds) == (None, {"auc": 0.95}, [THRESHOLD])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nodes": [1], "metrics": {}, "thresholds": []}'])
def test_a_damaged_summary_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(ValueError, match=r"summary\.json: "):
        read_summary(tmp_path / "summary.json")
