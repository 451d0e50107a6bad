"""``run_fn``: what the Trainer runs."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from absl import logging

from artifacts.names import HYPERPARAMETERS_FILE, STATE_FILE, TRAINING_FILE
from artifacts.training import TrainingRecord
from common.source_code import import_function
from models.distributed.cluster import run_cluster
from models.distributed.peers import wait_for_chief
from models.distributed.strategy import chosen, make_strategy, serve, sum_dense_gradients
from models.distributed.task import Task, this_task
from models.job import Job
from models.network import feature_inputs, output_width
from models.preprocessing import categorical_sizes
from models.settings import ModelConfig, Scalar
from models.signatures import export
from models.training.fitting import Rows, fit
from models.training.input import check_label
from models.training.state import write_whole
from models.training.warm_start import warm_start

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs

CHIEF_SECONDS = 1800.0  # in which it has to export
LEARNING_RATE = "learning_rate"
SAVED_MODEL = "saved_model.pb"
FACTORS = {"none": lambda _count: 1.0, "linear": float, "sqrt": math.sqrt}


def run_fn(fn_args: "FnArgs") -> None:
    """Trains the network and exports it with its signatures.

    Where the settings ask for several workers and ``TF_CONFIG`` does not say that this process is one of them already,
    they are started here; see :mod:`models.distributed.cluster`.

    Args:
        fn_args: From TFX: ``train_files`` and ``eval_files`` (transformed examples), ``transform_output``,
            ``serving_model_dir`` and ``model_run_dir`` to write to, ``custom_config``
            (a :class:`models.settings.ModelConfig`), after a Tuner ``hyperparameters``, and ``base_model``.

    Raises:
        ValueError: The training split cannot be learnt from (see :func:`models.training.input.check_label`), or the
            strategy is unavailable.
    """
    job = Job.from_fn_args(fn_args)
    task, config = this_task(), ModelConfig.from_config(job.config)
    training = config.training
    if not task.peers and (training.workers > 1 or training.strategy == "parameter_server"):
        check_label(job.train_files, tft.TFTransformOutput(job.transform_graph), config.problem)
        run_cluster(job)
    else:
        train(job, task)


def train(job: Job, task: Task) -> None:
    """Trains in this process, which may be one of several; the chief alone exports, and the others wait for it.

    Raises:
        ValueError: As :func:`run_fn`.
    """
    config = ModelConfig.from_config(job.config)
    name, exported = chosen(config.training.strategy, task), f"{job.model_dir}/{SAVED_MODEL}"
    if name == "parameter_server" and task.is_coordinated and not task.is_chief:
        serve(task, exported)
        return
    strategy = make_strategy(name, task)
    transform_output = tft.TFTransformOutput(job.transform_graph)
    check_label(job.train_files, transform_output, config.problem)
    if task.is_chief:
        tf.io.gfile.makedirs(job.run_dir)
        write_whole(job.in_run_dir(HYPERPARAMETERS_FILE), json.dumps(job.hyperparameters, indent=2).encode())
    scaling, replicas = config.training.learning_rate_scaling, strategy.num_replicas_in_sync
    with strategy.scope():
        model = build(config, scaled(job.hyperparameters, scaling, replicas), transform_output)
        if job.base_model:
            warm_start(model, job.base_model, config.problem, transform_output)
    sum_dense_gradients(model.optimizer)
    # Outside of the strategy: what is exported is the same whatever it was trained with.
    alone = build(config, job.hyperparameters, transform_output) if task.is_chief else None
    rows = Rows(job.train_files, job.validation_files, transform_output)
    fitted = fit(model, config, rows, job, task, alone)
    if not alone:
        wait_for_chief(exported, CHIEF_SECONDS)
        return
    alone.set_weights(fitted.state.best_weights)
    # With the optimizer's state, so that the model can be trained on.
    alone.optimizer.build(alone.trainable_variables)
    for variable, trained in zip(alone.optimizer.variables, model.optimizer.variables, strict=True):
        variable.assign(trained.numpy())
    export(alone, transform_output, config.problem, job.model_dir)
    record = TrainingRecord(strategy=name, workers=task.trainers, logs=job.log_dir, **fitted.measured)
    write_whole(job.in_run_dir(TRAINING_FILE), record.to_json().encode())
    tf.io.gfile.remove(job.in_run_dir(STATE_FILE))


def build(
    config: ModelConfig, hyperparameters: Mapping[str, Scalar], transform_output: tft.TFTransformOutput
) -> keras.Model:
    """Builds the configured network, its weights drawn from the configured seed.

    Raises:
        ValueError: The function gave no compiled model, or one with another output.
    """
    keras.utils.set_random_seed(config.training.seed)
    keras.backend.reset_uids()  # layers without a name get the same one each time
    build_network = import_function(config.network.function)
    sizes = categorical_sizes(config.problem.features, transform_output)
    model = build_network(config.problem, hyperparameters, sizes)
    _check(model, config)
    return model


def _check(model: Any, config: ModelConfig) -> None:
    features = config.problem.features
    if not isinstance(getattr(model, "optimizer", None), keras.optimizers.Optimizer):
        found = f"an optimizer {type(model.optimizer)}" if isinstance(model, keras.Model) else type(model)
        raise ValueError(
            f"network.function: {config.network.function} gave {found}; expected a tf_keras.Model, compiled with one "
            "of tf_keras.optimizers (none of its legacy ones)"
        )
    if not model.built:
        model({name: tf.zeros([1, *each.shape[1:]], each.dtype) for name, each in feature_inputs(features).items()})
    outputs, width = model.outputs, output_width(config.problem)
    if outputs and (len(outputs) > 1 or outputs[0].shape[1:] != [width]):
        found = ", ".join(str(output.shape) for output in outputs)
        raise ValueError(f"network.function: {config.network.function} gives {found}; expected one output [N, {width}]")


def scaled(hyperparameters: Mapping[str, Scalar], scaling: str, replicas: int) -> dict[str, Scalar]:
    """Hyperparameters with the learning rate for so many replicas; see ``training.learning_rate_scaling``.

    Raises:
        ValueError: They have no learning rate.
    """
    factor = FACTORS[scaling](replicas)
    if factor == 1:
        return dict(hyperparameters)
    rate = hyperparameters.get(LEARNING_RATE)
    if not isinstance(rate, float):
        raise ValueError(
            f"training.learning_rate_scaling: found no number in network.hyperparameters.{LEARNING_RATE}; expected one"
        )
    logging.info("Learning rate %g, times %g for the replicas.", rate, factor)
    return {**hyperparameters, LEARNING_RATE: rate * factor}
