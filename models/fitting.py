"""Fits a network: what Keras is given, whatever the strategy."""

import dataclasses
from concurrent import futures
from typing import Any

import tensorflow_transform as tft
import tf_keras as keras
from absl import logging

from models.input import Order, TrainingInput, input_fn
from models.job import LOGS, STATE_FILE, Job
from models.rounds import Array, Rounds, State
from models.settings import ModelConfig
from models.steps import Steps
from models.strategy import ALONE, Task, is_asynchronous, needs_static_shapes

VALIDATION_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Fitted:
    """How a training went.

    Attributes:
        state: What it came to; the model has the best weights.
        measured: ``steps``, ``replicas``, ``steps_per_second`` and ``input_wait``, the share of its time that training
            waited for rows; the last two without the first interval, and ``None`` where they were not measured.
    """

    state: State
    measured: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Rows:
    """What is learnt from.

    Attributes:
        train_files: Patterns of the training examples.
        validation_files: Patterns of the validation examples.
        transform_output: The Transform graph that wrote them.
    """

    train_files: list[str]
    validation_files: list[str]
    transform_output: tft.TFTransformOutput


def fit(
    model: keras.Model,
    config: ModelConfig,
    rows: Rows,
    job: Job | None = None,
    task: Task = ALONE,
    twin: keras.Model | None = None,
) -> Fitted:
    """Trains ``model`` until all steps are taken or the validation loss stops falling.

    Args:
        model: A compiled network.
        config: Steps, batch size, patience and seed.
        rows: What it learns from.
        job: Where logs and checkpoints go, from which a training that was killed goes on; ``None`` keeps none.
        task: This process; the chief alone writes.
        twin: The same network outside of the strategy, where that does not let it look at the validation split.

    Raises:
        DivergedError: The training or the validation loss is not a number.
    """
    training, strategy = config.training, model.distribute_strategy
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)  # else its first step is traced twice
        state = State.read(job.in_run_dir(STATE_FILE), model) if job else State()
    if state.step:
        logging.info("Goes on behind step %d.", state.step)
    fitting = _Fitting(model, config, rows, state, job if task.is_chief else None)
    rounds, given = fitting.coordinated(twin) if is_asynchronous(strategy) and twin else fitting.together()
    callbacks: list[keras.callbacks.Callback] = [rounds]
    if job and task.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(job.in_run_dir(LOGS), write_graph=False, profile_batch=0))
    if not rounds.is_over:
        model.fit(
            **given,
            initial_epoch=state.step // training.interval,
            epochs=training.rounds * training.intervals,
            callbacks=callbacks,
            verbose=0,
        )
    model.set_weights(state.best_weights)
    logging.info("Best validation loss %.5f after %d looks.", state.best, len(state.rows))
    return Fitted(state, {"steps": state.step, "replicas": strategy.num_replicas_in_sync, **rounds.measured})


@dataclasses.dataclass(frozen=True)
class _Fitting:
    """What one training is made of."""

    model: keras.Model
    config: ModelConfig
    rows: Rows
    state: State
    writer: Job | None

    def together(self) -> tuple[Rounds, dict[str, Any]]:
        """All replicas take each step together, and all steps of an interval are one of Keras'."""
        training, strategy, source = self.config.training, self.model.distribute_strategy, self._source()
        steps = Steps(source, training.interval)
        steps.take_over(self.model)
        return Rounds(self.state, training, self.writer, steps), {
            "x": strategy.distribute_datasets_from_function(source.dataset),
            "steps_per_epoch": 1,
            "validation_data": self._validation(needs_static_shapes(strategy)),
            "validation_freq": training.intervals,
        }

    def coordinated(self, twin: keras.Model) -> tuple[Rounds, dict[str, Any]]:
        """A coordinator gives the steps to workers, which take them by themselves."""
        training, validation = self.config.training, self._validation(equal_sizes=False)

        def evaluated(weights: list[Array]) -> dict[str, float]:
            twin.set_weights(weights)
            found: dict[str, float] = twin.evaluate(validation, verbose=0, return_dict=True)
            return {f"val_{name}": value for name, value in found.items()}

        def look() -> dict[str, float]:
            # In a thread of its own: in this one the strategy's scope is open, and Keras would ask the workers.
            with futures.ThreadPoolExecutor(1) as thread:
                return thread.submit(evaluated, self.model.get_weights()).result()

        return Rounds(self.state, training, self.writer, look=look), {
            "x": keras.utils.experimental.DatasetCreator(self._source().single_batches),
            "steps_per_epoch": training.interval,
        }

    def _source(self) -> TrainingInput:
        training = self.config.training
        skip = self.state.step * training.batch_size
        order = Order(training.seed, training.shuffle_rows, training.cache, skip)
        rows = self.rows
        return TrainingInput(rows.train_files, rows.transform_output, self.config.problem, training.batch_size, order)

    def _validation(self, equal_sizes: bool) -> Any:
        rows = self.rows
        return input_fn(
            rows.validation_files, rows.transform_output, self.config.problem, VALIDATION_BATCH, equal_sizes=equal_sizes
        )
