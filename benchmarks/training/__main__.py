"""Compares training with TFX's taxi template on the same rows, and two workers with one process."""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from benchmarks.pushed_model import exit_with_error
from benchmarks.targets import report_targets
from benchmarks.training.inputs import compare_inputs
from benchmarks.training.time_to_auc import compare_times
from benchmarks.training.transformed import TransformedData
from benchmarks.training.workers import compare_workers
from models.training_settings import ModelConfig
from pipeline.config.loading import load_config

CONFIG = Path("configs/taxi.yaml")


def main() -> None:
    """Prints the measurements. Exits with 1 if a target is missed, or with 2 if there are no transformed examples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/taxi"), help="output folder of a finished run")
    data = _last_transformed(parser.parse_args().output)
    tf.get_logger().setLevel("ERROR")  # hides the deprecation warnings of the template's input
    settings = load_config(CONFIG)
    config = ModelConfig(problem=settings.problem, network=settings.network, training=settings.training)
    targets = [compare_inputs(config, data.training_data), *compare_times(config, data.training_data)]
    with tempfile.TemporaryDirectory() as folder:
        targets.append(compare_workers(config, data, Path(folder)))
    report_targets(targets)


def _last_transformed(output: Path) -> TransformedData:
    """What Transform wrote in the last run. Exits with an error if there is none."""
    folder = output / "artifacts/Transform"
    runs = [int(path.name) for path in (folder / "transform_graph").glob("[0-9]*")]
    if not runs:
        exit_with_error(f"{output}: found no transformed examples; run local_runner.py first")
    splits = folder / "transformed_examples" / str(max(runs))
    graph = folder / "transform_graph" / str(max(runs))
    return TransformedData(str(splits / "Split-train/*"), str(splits / "Split-validation/*"), str(graph))


if __name__ == "__main__":
    main()
