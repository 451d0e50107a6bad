import json
import math

import pytest

from artifacts.summary import Node, Pushed, RunSummary, refused
from artifacts.thresholds import ThresholdResult
from artifacts.training import TrainingRecord

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


def test_keys_are_those_that_are_promised() -> None:
    record = json.loads(summary({"auc": 0.95}).to_json())
    assert list(record) == [
        *("run_id", "problem", "status", "nodes", "rows", "metrics", "thresholds", "baseline"),
        *("hyperparameters", "training", "pushed", "tflite", "error", "seconds"),
    ]
    assert record["nodes"] == [{"id": "Trainer", "state": "ran", "seconds": 1.5, "upstream": ["Transform"]}]
    assert list(record["thresholds"][0]) == ["metric", "slice", "kind", "comparison", "bound", "value", "ok"]
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
    assert '"Łódź"' in refused("Łódź", "error").to_json()


def test_refusal_is_a_failed_run_with_its_error() -> None:
    record = json.loads(refused("taxi", "one line").to_json())
    assert (record["status"], record["problem"], record["error"]) == ("failed", "taxi", "one line")
    assert (record["run_id"], record["pushed"], record["nodes"]) == (None, None, [])
    assert list(record) == list(json.loads(summary({}).to_json()))
