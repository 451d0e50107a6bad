"""Compares the TFLite model with the SavedModel: latency of one row, and size."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from artifacts.names import WARMUP_FILE
from benchmarks.pushed_model import Pushed, exit_with_error, last_pushed, row, tensors
from benchmarks.timing import median_seconds
from serving.edge import EdgeModel

REPEATS = 300
MIN_SPEEDUP = 5.0
MAX_KILOBYTES = 187  # a tenth of the sample's SavedModel as Keras would save it, with its layers


def main() -> None:
    """Prints speed and size. Exits with 1 if a target is missed, and with 2 if there is no pushed model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tflite", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("output/taxi"), help="output folder of a run that pushed a model"
    )
    output = parser.parse_args().output
    pushed = last_pushed(output)
    if not pushed.lite or not pushed.lite.exists():
        exit_with_error(f"{output}: the last run pushed no TFLite model; run local_runner.py with tflite.enabled=true")
    seconds = _times(pushed, pushed.lite)
    fastest = min(seconds["serving_default"], seconds["serve_raw"])
    speedup = fastest / seconds["LiteRT"]
    files = [path for path in pushed.saved.rglob("*") if path.is_file() and path != pushed.saved / WARMUP_FILE]
    kilobytes, saved = pushed.lite.stat().st_size / 1000, sum(path.stat().st_size for path in files) / 1000
    table = Table("one row", "microseconds", "relative to LiteRT")
    for name, each in seconds.items():
        table.add_row(name, f"{each * 1e6:.0f}", f"{each / seconds['LiteRT']:.1f}")
    console = Console()
    console.print(table)
    console.print(f"speed: {speedup:.1f} times the SavedModel's faster signature (at least {MIN_SPEEDUP:g})")
    console.print(f"size: {kilobytes:.0f} kB (at most {MAX_KILOBYTES}), {kilobytes / saved:.2f} of the SavedModel's")
    sys.exit(0 if speedup >= MIN_SPEEDUP and kilobytes <= MAX_KILOBYTES else 1)


def _times(pushed: Pushed, lite: Path) -> dict[str, float]:
    signatures = tf.saved_model.load(str(pushed.saved)).signatures
    edge = EdgeModel(lite.read_bytes())
    names = [feature["name"] for feature in edge.metadata["features"]]
    rows = [{name: values.get(name) for name in names} for values in map(row, pushed.examples)]
    serialized = [tf.constant([example]) for example in pushed.examples]
    raw = [tensors([example], signatures["serve_raw"]) for example in pushed.examples]
    count = len(rows)
    return median_seconds(
        {
            "serving_default": lambda repeat: signatures["serving_default"](serialized[repeat % count]),
            "serve_raw": lambda repeat: signatures["serve_raw"](**raw[repeat % count]),
            # This one includes encoding the row. The signatures are given ready-made tensors.
            "LiteRT": lambda repeat: edge.predict(rows[repeat % count]),
        },
        REPEATS,
    )


if __name__ == "__main__":
    main()
