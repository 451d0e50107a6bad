"""Fits a network with Keras, under any distribution strategy."""

import bisect
import dataclasses
import functools
import itertools
import math
from concurrent import futures
from typing import Any

import tensorflow_transform as tft
import tf_keras as keras
from absl import logging

from artifacts.names import STATE_FILE
from models.distributed.strategy import is_asynchronous, needs_static_shapes
from models.distributed.task import SINGLE_PROCESS, Task
from models.job import Job
from models.training.callbacks import Checkpoints
from models.training.input import RowOrder, TrainingInput, input_fn, keep_in_memory, matching_files, table_batches
from models.training.job_digest import job_digest
from models.training.memory_table import MemoryTable
from models.training.state import Array, TrainingState
from models.training.steps import StepGraph, StepRunner
from models.training.weights import RowWeights, row_weights
from models.training_settings import ModelConfig

VALIDATION_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class FitResult:
    """The result of training.

    Attributes:
        state: The final state. The model has its best weights.
        stats: ``steps``, ``replicas``, ``steps_per_second`` and ``input_wait``, the fraction of the time that steps
            waited for input. The last two exclude the first of Keras's epochs, and are ``None`` if not measured.
    """

    state: TrainingState
    stats: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class SharedRows:
    """Rows in memory, for several trainings of one model in one process and without replicas.

    Attributes:
        train: The training rows.
        validation: The validation rows.
        weights: The weights of the rows, on both splits.
        graph: The graph of the model's steps, which all trainings share.
    """

    train: MemoryTable
    validation: MemoryTable
    weights: RowWeights
    graph: StepGraph


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The data to train on.

    Attributes:
        train_files: Patterns of the training examples.
        validation_files: Patterns of the validation examples.
        transform_output: The Transform graph that wrote them.
        shared: The rows of these files, if they are in memory already.
    """

    train_files: list[str]
    validation_files: list[str]
    transform_output: tft.TFTransformOutput
    shared: SharedRows | None = None


def fit(
    model: keras.Model,
    config: ModelConfig,
    data: TrainingData,
    job: Job | None = None,
    task: Task = SINGLE_PROCESS,
    evaluation_model: keras.Model | None = None,
) -> FitResult:
    """Trains ``model`` until all steps are taken or the validation loss stops falling.

    Args:
        model: A compiled network.
        config: Steps, batch size, patience and seed.
        data: Training and validation data.
        job: Where to write logs and checkpoints, and the checkpoint to resume from. ``None`` writes nothing.
        task: Task of this process. Only the chief writes.
        evaluation_model: The same network outside the strategy, for strategies that cannot evaluate ``model``.

    Raises:
        DivergedError: The training or the validation loss is NaN or infinite.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
        state = TrainingState.read(job.in_run_dir(STATE_FILE), model, job_digest(job)) if job else TrainingState()
    if state.step:
        logging.info("Resuming after step %d.", state.step)
    fitting = _Fitting(model, config, data, state, job if task.is_chief else None)
    if is_asynchronous(strategy) and evaluation_model:
        checkpoints, arguments = fitting.coordinated(evaluation_model)
    else:
        checkpoints, arguments = fitting.synchronous()
    callbacks: list[keras.callbacks.Callback] = [checkpoints]
    if job and task.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(job.log_dir, write_graph=False, profile_batch=0))
    if not checkpoints.is_finished:
        model.fit(**arguments, callbacks=callbacks, verbose=0)
    model.set_weights(state.best_weights)
    logging.info("Best validation loss %.5f after %d evaluations.", state.best_loss, len(state.history))
    return FitResult(state, {"steps": state.step, "replicas": strategy.num_replicas_in_sync, **checkpoints.timing})


@dataclasses.dataclass(frozen=True)
class _Fitting:
    """Prepares the callback and the arguments of ``keras.Model.fit``."""

    model: keras.Model
    config: ModelConfig
    data: TrainingData
    state: TrainingState
    writer: Job | None

    @functools.cached_property
    def weights(self) -> RowWeights:
        """The weights of the rows, on both splits."""
        if self.data.shared:
            return self.data.shared.weights
        files = matching_files(self.data.train_files)
        return row_weights(self.config.training, self.config.problem, files, self.data.transform_output)

    def synchronous(self) -> tuple[Checkpoints, dict[str, Any]]:
        """For replicas that take each step together. All steps up to a checkpoint are one of Keras's epochs."""
        training, strategy, source = self.config.training, self.model.distribute_strategy, self._source()
        ends = training.checkpoints
        done = bisect.bisect(ends, self.state.step)
        counts = (end - begin for begin, end in itertools.pairwise([self.state.step, *ends[done:]]))
        steps = StepRunner(source, counts)
        steps.attach(self.model, self.data.shared.graph if self.data.shared else None)
        return Checkpoints(self.state, training, ends, self.writer, steps), {
            "x": strategy.distribute_datasets_from_function(source.dataset),
            "steps_per_epoch": 1,
            "initial_epoch": done,
            "epochs": len(ends),
            "validation_data": self._validation(needs_static_shapes(strategy)),
            "validation_freq": [epoch for epoch, end in enumerate(ends, 1) if training.is_evaluated(end)],
        }

    def coordinated(self, evaluation_model: keras.Model) -> tuple[Checkpoints, dict[str, Any]]:
        """For workers that take steps independently, as a coordinator schedules them. All epochs are equally long."""
        training, validation = self.config.training, self._validation(equal_sizes=False)
        count = math.gcd(*training.checkpoints)
        ends = range(count, training.steps + 1, count)

        def evaluate_weights(weights: list[Array]) -> dict[str, float]:
            evaluation_model.set_weights(weights)
            found: dict[str, float] = evaluation_model.evaluate(validation, verbose=0, return_dict=True)
            return {f"val_{name}": value for name, value in found.items()}

        def evaluate() -> dict[str, float]:
            # In another thread: in this one the strategy's scope is open, and Keras would use the workers.
            with futures.ThreadPoolExecutor(1) as thread:
                return thread.submit(evaluate_weights, self.model.get_weights()).result()

        return Checkpoints(self.state, training, ends, self.writer, evaluate=evaluate), {
            "x": keras.utils.experimental.DatasetCreator(self._source().single_batches),
            "steps_per_epoch": count,
            "initial_epoch": self.state.step // count,
            "epochs": len(ends),
        }

    def _source(self) -> TrainingInput:
        training, data = self.config.training, self.data
        skip = self.state.step * training.batch_size
        order = RowOrder(training.seed, training.shuffle_rows, training.cache, skip)
        rows = data.shared.train if data.shared else data.train_files
        return TrainingInput(rows, data.transform_output, self.config.problem, training.batch_size, order, self.weights)

    def _validation(self, equal_sizes: bool) -> Any:
        data = self.data
        if data.shared:
            return table_batches(data.shared.validation, VALIDATION_BATCH, self.weights)
        batches = input_fn(
            data.validation_files,
            data.transform_output,
            self.config.problem,
            VALIDATION_BATCH,
            equal_sizes=equal_sizes,
            weights=self.weights,
        )
        return batches.cache() if keep_in_memory(data.validation_files, self.config.training.cache) else batches
