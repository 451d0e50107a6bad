"""Compares the weights and the speed of two workers with those of one process."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from artifacts.nodes.training import read_training
from benchmarks.targets import Target, print_table
from benchmarks.training.transformed import TransformedData
from models.distributed.supervisor import run_cluster
from models.distributed.task import SINGLE_PROCESS
from models.job import Job
from models.training.trainer import train
from models.training_settings import ModelConfig

WORKERS, STEPS, CHECKPOINTS = 2, 200, 5
LARGE_BATCH = 4096
MAX_DIFFERENCE = 1e-5


class _Trained(NamedTuple):
    """The result of training.

    Attributes:
        weights: The exported weights.
        seconds: Duration of a step.
    """

    weights: list[Any]
    seconds: float


def compare_workers(config: ModelConfig, data: TransformedData, folder: Path) -> Target:
    """Compares the exported weights of two workers and one process, after the same steps on the same rows."""
    one, several = (_train(config, workers, data, folder / f"{workers}") for workers in (1, WORKERS))
    _print_scaling(config.training.batch_size, one, several)
    large = dataclasses.replace(config, training=dataclasses.replace(config.training, batch_size=LARGE_BATCH))
    _print_scaling(LARGE_BATCH, *(_train(large, each, data, folder / f"large-{each}") for each in (1, WORKERS)))
    differences = [float(np.max(np.abs(a - b))) for a, b in zip(one.weights, several.weights, strict=True)]
    name = f"max difference of a weight, {WORKERS} workers and one process"
    return Target(name, max(differences), MAX_DIFFERENCE, at_most=True)


def _train(config: ModelConfig, workers: int, data: TransformedData, folder: Path) -> _Trained:
    network = dataclasses.replace(
        config.network, hyperparameters={**config.network.hyperparameters, "dropout": 0.0}
    )  # each worker would drop other units
    training = dataclasses.replace(
        config.training,
        workers=workers,
        steps=STEPS,
        evaluate_every=STEPS,  # the weights of the only evaluation are exported
        checkpoint_every=STEPS // CHECKPOINTS,
    )
    job = _job(dataclasses.replace(config, network=network, training=training), data, folder)
    if workers > 1:
        run_cluster(job)
    else:
        train(job, SINGLE_PROCESS)
    weights = [variable.numpy() for variable in tf.saved_model.load(job.model_dir).variables]
    record = read_training(Path(job.run_dir))
    assert record
    assert record.steps_per_second
    return _Trained(weights, 1 / record.steps_per_second)


def _print_scaling(batch_size: int, one: _Trained, several: _Trained) -> None:
    print_table(
        f"{STEPS} steps of {batch_size} rows",
        {
            "one process": f"{one.seconds * 1e3:.2f} ms per step",
            f"{WORKERS} workers": (
                f"{several.seconds * 1e3:.2f} ms per step, {several.seconds / one.seconds:.2f} times as long"
            ),
        },
    )


def _job(config: ModelConfig, data: TransformedData, folder: Path) -> Job:
    return Job(
        config=config,
        hyperparameters=dict(config.network.hyperparameters),
        train_files=[data.train_files],
        validation_files=[data.validation_files],
        transform_graph=data.graph,
        model_dir=str(folder / "model"),
        run_dir=str(folder / "run"),
    )
