"""Fits a network: what Keras is given, whatever the strategy."""

import bisect
import dataclasses
import itertools
import math
from concurrent import futures
from typing import Any

import tensorflow_transform as tft
import tf_keras as keras
from absl import logging

from artifacts.names import STATE_FILE
from models.distributed.strategy import is_asynchronous, needs_static_shapes
from models.distributed.task import ALONE, Task
from models.job import Job
from models.settings import ModelConfig
from models.training.callbacks import Checkpoints
from models.training.input import Order, TrainingInput, input_fn, stay_in_memory
from models.training.state import Array, State
from models.training.steps import Steps

VALIDATION_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Fitted:
    """How a training went.

    Attributes:
        state: What it came to; the model has the best weights.
        measured: ``steps``, ``replicas``, ``steps_per_second`` and ``input_wait``, the share of its time that training
            waited for rows; the last two without the first of Keras' epochs, and ``None`` where they were not measured.
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
    judged: keras.Model | None = None,
) -> Fitted:
    """Trains ``model`` until all steps are taken or the validation loss stops falling.

    Args:
        model: A compiled network.
        config: Steps, batch size, patience and seed.
        rows: What it learns from.
        job: Where logs and checkpoints go, from which a training that was killed goes on; ``None`` keeps none.
        task: This process; the chief alone writes.
        judged: The same network outside of the strategy, to evaluate where the strategy does not let ``model`` be.

    Raises:
        DivergedError: The training or the validation loss is not a number.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)  # else its first step is traced twice
        state = State.read(job.in_run_dir(STATE_FILE), model) if job else State()
    if state.step:
        logging.info("Goes on behind step %d.", state.step)
    fitting = _Fitting(model, config, rows, state, job if task.is_chief else None)
    checkpoints, given = fitting.coordinated(judged) if is_asynchronous(strategy) and judged else fitting.together()
    callbacks: list[keras.callbacks.Callback] = [checkpoints]
    if job and task.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(job.log_dir, write_graph=False, profile_batch=0))
    if not checkpoints.is_over:
        model.fit(**given, callbacks=callbacks, verbose=0)
    model.set_weights(state.best_weights)
    logging.info("Best validation loss %.5f after %d evaluations.", state.best, len(state.rows))
    return Fitted(state, {"steps": state.step, "replicas": strategy.num_replicas_in_sync, **checkpoints.measured})


@dataclasses.dataclass(frozen=True)
class _Fitting:
    """What one training is made of."""

    model: keras.Model
    config: ModelConfig
    rows: Rows
    state: State
    writer: Job | None

    def together(self) -> tuple[Checkpoints, dict[str, Any]]:
        """All replicas take each step together, and all steps up to a checkpoint are one of Keras'."""
        training, strategy, source = self.config.training, self.model.distribute_strategy, self._source()
        ends = training.checkpoints
        done = bisect.bisect(ends, self.state.step)
        steps = Steps(source, (end - begin for begin, end in itertools.pairwise([self.state.step, *ends[done:]])))
        steps.take_over(self.model)
        return Checkpoints(self.state, training, ends, self.writer, steps), {
            "x": strategy.distribute_datasets_from_function(source.dataset),
            "steps_per_epoch": 1,
            "initial_epoch": done,
            "epochs": len(ends),
            "validation_data": self._validation(needs_static_shapes(strategy)),
            "validation_freq": [epoch for epoch, end in enumerate(ends, 1) if training.is_evaluated(end)],
        }

    def coordinated(self, judged: keras.Model) -> tuple[Checkpoints, dict[str, Any]]:
        """A coordinator gives the steps to workers, which take them by themselves, as many in each of Keras' epochs."""
        training, validation = self.config.training, self._validation(equal_sizes=False)
        count = math.gcd(*training.checkpoints)
        ends = range(count, training.steps + 1, count)

        def evaluated(weights: list[Array]) -> dict[str, float]:
            judged.set_weights(weights)
            found: dict[str, float] = judged.evaluate(validation, verbose=0, return_dict=True)
            return {f"val_{name}": value for name, value in found.items()}

        def evaluate() -> dict[str, float]:
            # In a thread of its own: in this one the strategy's scope is open, and Keras would ask the workers.
            with futures.ThreadPoolExecutor(1) as thread:
                return thread.submit(evaluated, self.model.get_weights()).result()

        return Checkpoints(self.state, training, ends, self.writer, evaluate=evaluate), {
            "x": keras.utils.experimental.DatasetCreator(self._source().single_batches),
            "steps_per_epoch": count,
            "initial_epoch": self.state.step // count,
            "epochs": len(ends),
        }

    def _source(self) -> TrainingInput:
        training = self.config.training
        skip = self.state.step * training.batch_size
        order = Order(training.seed, training.shuffle_rows, training.cache, skip)
        rows = self.rows
        return TrainingInput(rows.train_files, rows.transform_output, self.config.problem, training.batch_size, order)

    def _validation(self, equal_sizes: bool) -> Any:
        rows = self.rows
        batches = input_fn(
            rows.validation_files, rows.transform_output, self.config.problem, VALIDATION_BATCH, equal_sizes=equal_sizes
        )
        return batches.cache() if stay_in_memory(rows.validation_files, self.config.training.cache) else batches
