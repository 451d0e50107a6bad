"""The TFLite model beside the SavedModel that it was made of: time for a row, and size."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from rich.console import Console
from rich.table import Table
from tensorflow_serving.apis import prediction_log_pb2

from benchmarks.timing import medians
from serving.edge import EdgeModel

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
REPEATS = 300
LEAST_SPEEDUP, MOST_SIZE = 5.0, 0.1


def main() -> None:
    """Prints both ratios; exits with 1 if one is worse than promised, with 2 if there is no pushed model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tflite", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/taxi"), help="folder of a run that pushed")
    output = parser.parse_args().output
    try:
        summary = json.loads((output / "runs/latest/summary.json").read_text())
        saved, lite = Path(summary["pushed"]["path"]), Path(summary["tflite"]["path"])
        if not (saved / WARMUP_FILE).exists() or not lite.exists():
            raise FileNotFoundError(saved)
    except (OSError, TypeError, ValueError):
        sys.exit(_refuse(f"{output}: the last run there pushed no TFLite model; run local_runner.py first"))
    seconds = _times(saved, lite)
    fastest = min(seconds["serving_default"], seconds["serve_raw"])
    speedup = fastest / seconds["LiteRT"]
    files = [path for path in saved.rglob("*") if path.is_file() and path != saved / WARMUP_FILE]
    size = lite.stat().st_size / sum(path.stat().st_size for path in files)
    table = Table("one row", "microseconds", "times LiteRT's")
    for name, each in seconds.items():
        table.add_row(name, f"{each * 1e6:.0f}", f"{each / seconds['LiteRT']:.1f}")
    console = Console()
    console.print(table)
    console.print(f"speed: {speedup:.1f} times the SavedModel's faster signature (at least {LEAST_SPEEDUP:g})")
    console.print(f"size: {size:.3f} of the SavedModel's bytes (at most {MOST_SIZE:g})")
    sys.exit(0 if speedup >= LEAST_SPEEDUP and size <= MOST_SIZE else 1)


def _times(saved: Path, lite: Path) -> dict[str, float]:
    signatures = tf.saved_model.load(str(saved)).signatures
    edge = EdgeModel(lite.read_bytes())
    examples = _examples(saved)
    rows = [_row(example, edge) for example in examples]
    serialized = [tf.constant([example]) for example in examples]
    columns = [_columns(row, signatures["serve_raw"]) for row in rows]
    count = len(rows)
    return medians(
        {
            "serving_default": lambda repeat: signatures["serving_default"](serialized[repeat % count]),
            "serve_raw": lambda repeat: signatures["serve_raw"](**columns[repeat % count]),
            # From the row's values to the prediction; the signatures get tensors that are there already.
            "LiteRT": lambda repeat: edge.predict(rows[repeat % count]),
        },
        REPEATS,
    )


def _examples(saved: Path) -> list[bytes]:
    """Real rows: those of the warm-up requests."""
    records = tf.data.TFRecordDataset(str(saved / WARMUP_FILE)).as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    return max((list(request.inputs["examples"].string_val) for request in requests), key=len)


def _row(example: bytes, edge: EdgeModel) -> dict[str, Any]:
    features = tf.train.Example.FromString(example).features.feature
    row = {}
    for name in (feature["name"] for feature in edge.metadata["features"]):
        values = getattr(features[name], features[name].WhichOneof("kind") or "bytes_list").value
        row[name] = values[0] if len(values) else None
    return row


def _columns(row: dict[str, Any], signature: Any) -> dict[str, tf.Tensor]:
    missing = {tf.float32: float("nan"), tf.int64: tf.int64.min, tf.string: b""}
    specs = signature.structured_input_signature[1]
    return {
        name: tf.constant([[missing[spec.dtype] if row[name] is None else row[name]]], spec.dtype)
        for name, spec in specs.items()
    }


def _refuse(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
