import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from pushed_run import PushedRun
from tensorflow_serving.apis import prediction_log_pb2

pytestmark = pytest.mark.e2e


def read_report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


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
