"""Takes the steps between two checkpoints, and measures how long they wait for input."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from models.training.input import TrainingInput

Logs: TypeAlias = dict[str, Any]


class StepGraph:
    """TensorFlow's graph of the steps of one model.

    Trainings of this model one after the other can share it if their rows have the same columns and weights. Tracing it
    takes as long as hundreds of steps.
    """

    def __init__(self) -> None:
        self._functions: tuple[Callable[..., None], Callable[[], Logs]] | None = None

    def functions(self, model: keras.Model, source: TrainingInput) -> tuple[Callable[..., None], Callable[[], Logs]]:
        """Returns the functions that take steps and compute the metrics. They are made at the first call.

        Batches are fetched before the graph of the steps runs, to measure the wait: inside the graph, other nodes that
        need no batch would count as waiting.
        """
        self._functions = self._functions or self._make(model, source)
        return self._functions

    def _make(self, model: keras.Model, source: TrainingInput) -> tuple[Callable[..., None], Callable[[], Logs]]:
        strategy = model.distribute_strategy

        def on_replica(batches: Any, place: tf.Tensor) -> None:
            model.train_step(source.batch(batches, place))
            model._train_counter.assign_add(1)  # as the function that this one replaces does

        @tf.function(reduce_retracing=True)
        def take_steps(batches: Any, begin: tf.Tensor, end: tf.Tensor) -> None:
            with _without_metric_results(model):
                for place in tf.range(begin, end):
                    tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                    strategy.run(on_replica, args=(batches, place))

        @tf.function
        def results() -> Logs:
            values = strategy.run(model.get_metrics_result)
            logs: Logs = tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], values)
            return logs

        return take_steps, results


class StepRunner:
    """Takes the steps from one checkpoint to the next, several per call of TensorFlow.

    Attributes:
        wait_seconds: Total time that steps have waited for the input pipeline.
    """

    def __init__(self, source: TrainingInput, counts: Iterable[int]) -> None:
        """Creates the runner.

        Args:
            source: The input that ``fit`` gets.
            counts: Number of steps up to each of the following checkpoints.
        """
        self.wait_seconds = 0.0
        self._source = source
        self._counts = iter(counts)
        self._batches: Any = None
        self._place = source.steps  # index of the next batch among those that were fetched together

    def attach(self, model: keras.Model, graph: StepGraph | None = None) -> None:
        """Makes the next ``fit`` of a compiled model take all steps up to a checkpoint as one of Keras's steps.

        The logs of that step are the metrics of the model.

        Args:
            model: The model.
            graph: The graph of its steps, or ``None`` for a new one.
        """
        take_steps, results = (graph or StepGraph()).functions(model, self._source)

        def run_to_checkpoint(iterator: Iterator[Any]) -> Logs:
            self._run(next(self._counts), take_steps, iterator)
            return results()

        def make_train_function(*_: object) -> Callable[[Iterator[Any]], Logs]:
            model.train_function = run_to_checkpoint
            return run_to_checkpoint

        model.make_train_function = make_train_function

    def _run(
        self, count: int, take_steps: Callable[[Any, tf.Tensor, tf.Tensor], None], iterator: Iterator[Any]
    ) -> None:
        while count:
            if self._place == self._source.steps:
                start = time.perf_counter()
                self._batches = next(iterator)
                self.wait_seconds += time.perf_counter() - start
                self._place = 0
            end = min(self._source.steps, self._place + count)
            take_steps(self._batches, tf.constant(self._place), tf.constant(end))
            count -= end - self._place
            self._place = end


@contextlib.contextmanager
def _without_metric_results(model: keras.Model) -> Iterator[None]:
    """Makes a step update the metrics without computing them, for which several workers have to synchronize."""
    model.get_metrics_result = dict
    try:
        yield
    finally:
        del model.get_metrics_result
