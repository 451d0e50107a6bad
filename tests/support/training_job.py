"""A training job on the small table, for tests with one process or several."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from small_table import IN_FULL, small_table

from models.job import Job
from models.training_settings import DEFAULT_NETWORK, ModelConfig, Network, Scalar, Training

PROBLEM = IN_FULL["binary"]
HYPERPARAMETERS: dict[str, Scalar] = {"hidden_units": 8, "learning_rate": 0.01}
TRAINING = {"steps": 60, "batch_size": 60, "evaluate_every": 20, "patience": 50}


def training_job(
    folder: Path,
    files: list[str] | None = None,
    hyperparameters: dict[str, Scalar] = HYPERPARAMETERS,
    function: str = DEFAULT_NETWORK,
    **training: Any,
) -> Job:
    """Makes a job in a new folder, with the settings of :data:`TRAINING` and those given."""
    table = small_table()
    config = ModelConfig(
        problem=PROBLEM,
        network=Network(function=function, hyperparameters=hyperparameters),
        training=Training(**{**TRAINING, **training}),
    )
    folder.mkdir(parents=True)
    return Job(
        config=config,
        hyperparameters=dict(hyperparameters),
        train_files=files or table.files,
        validation_files=files or table.files,
        transform_graph=table.graph_dir,
        model_dir=str(folder / "model"),
        run_dir=str(folder / "run"),
    )


def weights_of(job: Job) -> list[np.ndarray[Any, Any]]:
    """The variables of the exported model."""
    return [variable.numpy() for variable in tf.saved_model.load(job.model_dir).variables]


def assert_same_weights(job: Job, other: Job) -> None:
    for one, another in zip(weights_of(job), weights_of(other), strict=True):
        np.testing.assert_allclose(one, another, rtol=0, atol=1e-5)
