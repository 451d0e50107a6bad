"""Trains the network in this process and exports it."""

import json
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from absl import logging

from artifacts.names import HYPERPARAMETERS_FILE, SAVED_MODEL_FILE, STATE_FILE, TRAINING_FILE
from artifacts.nodes.training import TrainingRecord
from common.source_code import import_function
from models.distributed.peers import wait_for_chief
from models.distributed.strategy import densify_gradients, make_strategy, resolve_strategy, run_server
from models.distributed.task import Task
from models.job import Job
from models.network import NetworkFunction, feature_inputs, output_width
from models.signatures import export
from models.training.fitting import FitResult, TrainingData, fit
from models.training.label_check import check_label
from models.training.remote_files import write_atomically
from models.training.warm_start import warm_start
from models.training_settings import ModelConfig, Scalar, StrategyName
from models.transforms.kinds import categorical_sizes

EXPORT_SECONDS = 1800.0  # for the chief to export the model
LEARNING_RATE = "learning_rate"
LEARNING_RATE_FACTORS = {"none": lambda _count: 1.0, "linear": float, "sqrt": math.sqrt}


def train(job: Job, task: Task) -> None:
    """Trains in this process, which may be one of several. The chief exports the model, and the others wait for it.

    Raises:
        ValueError: The label of the training split is constant, or the strategy is unavailable.
        DivergedError: The training or the validation loss is NaN or infinite.
    """
    config, exported = job.config, f"{job.model_dir}/{SAVED_MODEL_FILE}"
    name = resolve_strategy(config.training.strategy, task)
    if name == "parameter_server" and task.is_coordinated and not task.is_chief:
        run_server(task, exported)
        return
    strategy = make_strategy(name, task)
    transform_output = tft.TFTransformOutput(job.transform_graph)
    check_label(job.train_files, transform_output, config.problem)
    if task.is_chief:
        tf.io.gfile.makedirs(job.run_dir)
        write_atomically(job.in_run_dir(HYPERPARAMETERS_FILE), json.dumps(job.hyperparameters, indent=2).encode())
    scaling, replicas = config.training.learning_rate_scaling, strategy.num_replicas_in_sync
    with strategy.scope():
        model = build_model(config, scale_learning_rate(job.hyperparameters, scaling, replicas), transform_output)
        if job.base_model:
            warm_start(model, job.base_model, config.problem, transform_output)
    densify_gradients(model.optimizer)
    # Built outside the strategy, so the exported model does not depend on how it was trained.
    export_model = build_model(config, job.hyperparameters, transform_output) if task.is_chief else None
    data = TrainingData(job.train_files, job.validation_files, transform_output)
    result = fit(model, config, data, job, task, export_model)
    if not export_model:
        wait_for_chief(exported, EXPORT_SECONDS)
        return
    _copy_weights(result, model, export_model)
    export(export_model, transform_output, config.problem, job.model_dir)
    _write_record(job, task, name, result)


def _copy_weights(result: FitResult, model: keras.Model, export_model: keras.Model) -> None:
    export_model.set_weights(result.state.best_weights)
    # With the state of the optimizer, so that the exported model can be trained further.
    export_model.optimizer.build(export_model.trainable_variables)
    for variable, trained in zip(export_model.optimizer.variables, model.optimizer.variables, strict=True):
        variable.assign(trained.numpy())


def _write_record(job: Job, task: Task, strategy: StrategyName, result: FitResult) -> None:
    """Writes how the model was trained, and removes the state, which is no longer needed."""
    record = TrainingRecord(strategy=strategy, workers=task.num_trainers, logs=job.log_dir, **result.stats)
    write_atomically(job.in_run_dir(TRAINING_FILE), record.to_json().encode())
    tf.io.gfile.remove(job.in_run_dir(STATE_FILE))


def build_model(
    config: ModelConfig, hyperparameters: Mapping[str, Scalar], transform_output: tft.TFTransformOutput
) -> keras.Model:
    """Builds the configured network, with initial weights drawn from the configured seed.

    Raises:
        ValueError: The network function did not return a compiled model, or its output has the wrong shape.
    """
    keras.utils.set_random_seed(config.training.seed)
    keras.backend.reset_uids()  # unnamed layers get the same names each time
    build_network: NetworkFunction = import_function(config.network.function)
    sizes = categorical_sizes(config.problem.features, transform_output)
    model = build_network(config.problem, hyperparameters, sizes)
    _check_model(model, config)
    return model


def _check_model(model: Any, config: ModelConfig) -> None:
    features, function = config.problem.features, config.network.function
    if not isinstance(getattr(model, "optimizer", None), keras.optimizers.Optimizer):
        found = f"an optimizer {type(model.optimizer)}" if isinstance(model, keras.Model) else type(model)
        raise ValueError(
            f"network.function: {function} returned {found}; expected a tf_keras.Model, compiled with an optimizer of "
            "tf_keras.optimizers (not of its legacy module)"
        )
    if not model.built:
        model({name: tf.zeros([1, *each.shape[1:]], each.dtype) for name, each in feature_inputs(features).items()})
    outputs, width = model.outputs, output_width(config.problem)
    if outputs and (len(outputs) > 1 or outputs[0].shape[1:] != [width]):
        found = ", ".join(str(output.shape) for output in outputs)
        raise ValueError(f"network.function: {function} has the output {found}; expected one output [N, {width}]")


def scale_learning_rate(hyperparameters: Mapping[str, Scalar], scaling: str, replicas: int) -> dict[str, Scalar]:
    """Hyperparameters with the learning rate scaled for the number of replicas.

    Args:
        hyperparameters: Hyperparameters of the network.
        scaling: ``training.learning_rate_scaling``.
        replicas: Number of replicas.

    Raises:
        ValueError: There is no learning rate to scale.
    """
    factor = LEARNING_RATE_FACTORS[scaling](replicas)
    if factor == 1:
        return dict(hyperparameters)
    rate = hyperparameters.get(LEARNING_RATE)
    if not isinstance(rate, float):
        raise ValueError(
            f"training.learning_rate_scaling: found no number in network.hyperparameters.{LEARNING_RATE}; expected one"
        )
    logging.info("Scaling the learning rate %g by %g for %d replicas.", rate, factor, replicas)
    return {**hyperparameters, LEARNING_RATE: rate * factor}
