"""``run_fn``: what the Trainer runs."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import tensorflow_transform as tft
import tf_keras as keras
from absl import logging
from tfx.components.trainer.fn_args_utils import FnArgs

from models.imports import import_function
from models.input import check_label, input_fn
from models.preprocessing import categorical_sizes
from models.settings import ModelConfig, Scalar
from models.signatures import export

HISTORY_FILE = "history.csv"
HYPERPARAMETERS_FILE = "hyperparameters.json"


class DivergedError(ValueError):
    """Training ran into numbers that are none."""


def run_fn(fn_args: FnArgs) -> None:
    """Trains the network and exports it with its signatures.

    Args:
        fn_args: From TFX: ``train_files`` and ``eval_files`` (transformed examples), ``transform_output``,
            ``serving_model_dir`` and ``model_run_dir`` to write to, ``custom_config``
            (a :class:`models.settings.ModelConfig`) and, after a Tuner, ``hyperparameters``.

    Raises:
        ValueError: The training split cannot be learnt from; see :func:`models.input.check_label`.
    """
    config = ModelConfig.from_config(fn_args.custom_config)
    transform_output = tft.TFTransformOutput(fn_args.transform_output)
    check_label(fn_args.train_files, transform_output, config.problem)
    hyperparameters = chosen_hyperparameters(config, fn_args.hyperparameters)
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / HYPERPARAMETERS_FILE).write_text(json.dumps(hyperparameters, indent=2))

    model = build(config, hyperparameters, transform_output)
    fit(
        model,
        config,
        (fn_args.train_files, fn_args.eval_files),
        transform_output,
        steps=config.training.steps,
        callbacks=[keras.callbacks.CSVLogger(str(run_dir / HISTORY_FILE))],
    )
    export(model, transform_output, config.problem, fn_args.serving_model_dir)


def chosen_hyperparameters(config: ModelConfig, tuned: Mapping[str, object] | None) -> dict[str, Scalar]:
    """The YAML's hyperparameters, with those that the Tuner found in their place."""
    best = (tuned or {}).get("values", {})
    assert isinstance(best, Mapping)
    return {**config.network.hyperparameters, **best}


def build(
    config: ModelConfig, hyperparameters: Mapping[str, Scalar], transform_output: tft.TFTransformOutput
) -> keras.Model:
    """Builds the configured network, its weights drawn from the configured seed."""
    keras.utils.set_random_seed(config.training.seed)
    build_network = import_function(config.network.function)
    sizes = categorical_sizes(config.problem.features, transform_output)
    return build_network(config.problem, hyperparameters, sizes)


def fit(
    model: keras.Model,
    config: ModelConfig,
    files: tuple[list[str], list[str]],
    transform_output: tft.TFTransformOutput,
    steps: int,
    callbacks: list[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    """Trains ``model`` until ``steps`` are taken or the validation loss stops falling.

    Args:
        model: A compiled network.
        config: Batch size, patience and seed.
        files: Patterns of the training and of the validation examples.
        transform_output: The Transform graph that wrote them.
        steps: Most batches taken.
        callbacks: Run beside early stopping.

    Returns:
        The history: a list by metric name, one value an evaluation. The weights are those of the lowest
        validation loss.

    Raises:
        DivergedError: The training or the validation loss is not a number.
    """
    training = config.training
    train_files, validation_files = files
    evaluations = math.ceil(steps / training.evaluate_every)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=training.patience, restore_best_weights=True)
    history = model.fit(
        input_fn(train_files, transform_output, config.problem, training.batch_size, training.seed),
        validation_data=input_fn(validation_files, transform_output, config.problem, 1024),
        steps_per_epoch=math.ceil(steps / evaluations),
        epochs=evaluations,
        callbacks=[keras.callbacks.TerminateOnNaN(), stop, *callbacks],
        verbose=2,
    ).history
    if not (math.isfinite(history["loss"][-1]) and math.isfinite(min(history["val_loss"], default=0.0))):
        raise DivergedError(
            "the loss is not a number; lower network.hyperparameters.learning_rate, or look for extreme "
            "values in the dense features"
        )
    logging.info("Best validation loss %.5f after %d evaluations.", stop.best, len(history["loss"]))
    return history
