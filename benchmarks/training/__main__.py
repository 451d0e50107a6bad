"""Training beside TFX's taxi template on the same rows: its input, its time to an AUC; and two workers beside one."""

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from artifacts.names import TRAINING_FILE
from benchmarks.pushed_model import exit_with_error
from benchmarks.targets import Target, print_table, report_targets
from benchmarks.timing import ROUNDS
from benchmarks.training import template_trainer as stock
from benchmarks.training.template_trainer import Evaluation
from common import progress
from models.distributed.cluster import run_cluster
from models.distributed.task import ALONE
from models.job import Job
from models.settings import ModelConfig
from models.training.fitting import Rows, fit
from models.training.input import Order, TrainingInput
from models.training.trainer import build, train
from pipeline.config.loading import load_config

CONFIG = Path("configs/taxi.yaml")
SECONDS = 1.0  # of a turn of an input; what it prefetched before is a small part of it
EVALUATIONS, FITS = 5, 3
WORKERS, WORKER_STEPS, INTERVALS = 2, 200, 5
LARGE_BATCH = 4096
LEAST_INPUT, MOST_WAIT, LEAST_SPEED, MOST_DIFFERENCE = 5.0, 0.1, 1.0, 1e-5


@dataclasses.dataclass(frozen=True)
class Transformed:
    """What a run's Transform wrote.

    Attributes:
        train_files: Pattern of the training examples.
        validation_files: Pattern of the validation examples.
        graph: Folder of the Transform graph.
    """

    train_files: str
    validation_files: str
    graph: str

    @property
    def rows(self) -> Rows:
        """The same for :func:`models.training.fitting.fit`."""
        return Rows([self.train_files], [self.validation_files], tft.TFTransformOutput(self.graph))


def main() -> None:
    """Prints what was measured; exits with 1 if a promise is missed, with 2 if no run has transformed examples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/taxi"), help="folder of a run that trained")
    transformed = _last_transformed(parser.parse_args().output)
    tf.get_logger().setLevel("ERROR")  # the stock input uses what is deprecated
    settings = load_config(CONFIG)
    config = ModelConfig(problem=settings.problem, network=settings.network, training=settings.training)
    promises = [_compare_inputs(config, transformed.rows), *_compare_fits(config, transformed.rows)]
    with tempfile.TemporaryDirectory() as folder:
        promises.append(_compare_workers(config, transformed, Path(folder)))
    report_targets(promises)


def _last_transformed(output: Path) -> Transformed:
    """What the last run into a folder learnt from; ends the program with one line if that is nothing."""
    folder = output / "artifacts/Transform"
    runs = [int(path.name) for path in (folder / "transform_graph").glob("[0-9]*")]
    if not runs:
        exit_with_error(f"{output}: no run there has transformed examples; run local_runner.py first")
    splits = folder / "transformed_examples" / str(max(runs))
    graph = folder / "transform_graph" / str(max(runs))
    return Transformed(str(splits / "Split-train/*"), str(splits / "Split-validation/*"), str(graph))


def _compare_inputs(config: ModelConfig, rows: Rows) -> Target:
    """Examples a second, with nothing that learns from them; both hand over a tensor a feature and the label."""
    kept, streamed = (_source(config, rows, cache) for cache in ("memory", "none"))
    ours = iter(kept.dataset(tf.distribute.InputContext()))
    fetches = {
        "stock": _stock(config, rows),
        "ours, read each time": _by_feature(streamed),
        "ours, from memory": _by_feature(kept),
        "ours, from memory, as fetched": lambda: next(ours),
    }
    batches = {name: 1 if name == "stock" else kept.steps for name in fetches}
    found: dict[str, list[float]] = {name: [] for name in fetches}
    for turn in range(1 + ROUNDS):
        for name, fetch in fetches.items():
            rate = _rate(fetch) * batches[name] * config.training.batch_size
            if turn:  # the first is to warm up
                found[name].append(rate)
    rates = {name: statistics.median(each) for name, each in found.items()}
    print_table("input alone", {name: f"{rate:,.0f} examples/s" for name, rate in rates.items()})
    what = "input's examples/s, ours from memory / stock"
    return Target(what, rates["ours, from memory"] / rates["stock"], LEAST_INPUT)


def _source(config: ModelConfig, rows: Rows, cache: Literal["memory", "none"]) -> TrainingInput:
    training = config.training
    order = Order(training.seed, training.shuffle_rows, cache)
    return TrainingInput(rows.train_files, rows.transform_output, config.problem, training.batch_size, order)


def _by_feature(source: TrainingInput) -> Callable[[], object]:
    batches = iter(source.dataset(tf.distribute.InputContext()))

    @tf.function
    def taken_apart(several: Any) -> Any:
        return [source.batch(several, place) for place in range(source.steps)]

    return lambda: taken_apart(next(batches))


def _stock(config: ModelConfig, rows: Rows) -> Callable[[], object]:
    name, size = config.problem.label.name, config.training.batch_size
    batches = iter(stock.dataset(rows.train_files, rows.transform_output, name, size))
    return lambda: next(batches)


def _rate(call: Callable[[], object]) -> float:
    """Calls a second."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        call()
        count += 1
    return count / passed


def _compare_fits(config: ModelConfig, rows: Rows) -> list[Target]:
    """Seconds to the lower of the AUCs that both have after some evaluations; the time to trace is part of them."""
    every = config.training.evaluate_every
    training = dataclasses.replace(
        config.training, steps=EVALUATIONS * every, patience=EVALUATIONS, checkpoint_every=None
    )
    config = dataclasses.replace(config, training=training)
    waits: list[float] = []
    found: dict[str, list[list[Evaluation]]] = {"stock": [], "ours": []}
    for _ in range(FITS):
        found["stock"].append(stock.fit(_network(config, rows), config, rows))
        evaluations, wait = _fit(config, rows)
        found["ours"].append(evaluations)
        waits.append(wait)
    target = min(evaluations[-1].auc for each in found.values() for evaluations in each)
    seconds = {
        name: statistics.median(_until(target, evaluations) for evaluations in each) for name, each in found.items()
    }
    first = {name: statistics.median(evaluations[0].seconds for evaluations in each) for name, each in found.items()}
    print_table(
        f"to validation AUC {target:.4f}",
        {name: f"{each:.2f} s, of which {first[name]:.2f} s to the first evaluation" for name, each in seconds.items()},
    )
    return [
        Target("share of a step that waits for its rows", statistics.median(waits), MOST_WAIT, at_most=True),
        Target("seconds to the same AUC, stock / ours", seconds["stock"] / seconds["ours"], LEAST_SPEED),
    ]


def _fit(config: ModelConfig, rows: Rows) -> tuple[list[Evaluation], float]:
    """The evaluations of our own trainer, and the share of its time that it waited for rows."""
    model, seconds = _network(config, rows), list[float]()
    start = time.perf_counter()
    with progress.listening(lambda _source, _line: seconds.append(time.perf_counter() - start)):
        fitted = fit(model, config, rows)
    evaluations = [Evaluation(each, row["val_auc"]) for each, row in zip(seconds, fitted.state.rows, strict=True)]
    return evaluations, fitted.measured["input_wait"]


def _network(config: ModelConfig, rows: Rows) -> Any:
    return build(config, config.network.hyperparameters, rows.transform_output)


def _until(auc: float, evaluations: list[Evaluation]) -> float:
    return next(evaluation.seconds for evaluation in evaluations if evaluation.auc >= auc)


def _compare_workers(config: ModelConfig, transformed: Transformed, folder: Path) -> Target:
    """The exported weights of two workers beside those of one process, after as many steps of as many rows."""
    alone, shared = (_trained(config, workers, transformed, folder / f"{workers}") for workers in (1, WORKERS))
    _show_scaling(config.training.batch_size, alone, shared)
    large = dataclasses.replace(config, training=dataclasses.replace(config.training, batch_size=LARGE_BATCH))
    _show_scaling(LARGE_BATCH, *(_trained(large, each, transformed, folder / f"large-{each}") for each in (1, WORKERS)))
    differences = [float(np.max(np.abs(one - other))) for one, other in zip(alone.weights, shared.weights, strict=True)]
    what = f"largest difference of a weight, {WORKERS} workers and one process"
    return Target(what, max(differences), MOST_DIFFERENCE, at_most=True)


class _Trained(NamedTuple):
    weights: list[Any]
    seconds: float  # a step


def _trained(config: ModelConfig, workers: int, transformed: Transformed, folder: Path) -> _Trained:
    network = dataclasses.replace(
        config.network, hyperparameters={**config.network.hyperparameters, "dropout": 0.0}
    )  # each worker drops other units
    training = dataclasses.replace(
        config.training,
        workers=workers,
        steps=WORKER_STEPS,
        evaluate_every=WORKER_STEPS,  # a single evaluation, whose weights are exported
        checkpoint_every=WORKER_STEPS // INTERVALS,
    )
    job = _job(dataclasses.replace(config, network=network, training=training), transformed, folder)
    if workers > 1:
        run_cluster(job)
    else:
        train(job, ALONE)
    weights = [variable.numpy() for variable in tf.saved_model.load(job.model_dir).variables]
    return _Trained(weights, 1 / json.loads(Path(job.in_run_dir(TRAINING_FILE)).read_text())["steps_per_second"])


def _show_scaling(batch_size: int, alone: _Trained, shared: _Trained) -> None:
    print_table(
        f"{WORKER_STEPS} steps of {batch_size} rows",
        {
            "one process": f"{alone.seconds * 1e3:.2f} ms a step",
            f"{WORKERS} workers": (
                f"{shared.seconds * 1e3:.2f} ms a step, {shared.seconds / alone.seconds:.2f} times as long"
            ),
        },
    )


def _job(config: ModelConfig, transformed: Transformed, folder: Path) -> Job:
    return Job(
        config=config.to_config(),
        hyperparameters=dict(config.network.hyperparameters),
        train_files=[transformed.train_files],
        validation_files=[transformed.validation_files],
        transform_graph=transformed.graph,
        model_dir=str(folder / "model"),
        run_dir=str(folder / "run"),
    )


if __name__ == "__main__":
    main()
