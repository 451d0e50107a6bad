"""Takes the steps between two checkpoints, and measures how long they wait for their rows."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from models.training.input import TrainingInput

Logs: TypeAlias = dict[str, Any]


class Steps:
    """The steps from one checkpoint to the next, several in each call of TensorFlow.

    Attributes:
        waited: Seconds that they have waited for the input pipeline so far.
    """

    def __init__(self, source: TrainingInput, counts: Iterable[int]) -> None:
        """Takes what the steps learn from.

        Args:
            source: Its datasets are what ``fit`` is given.
            counts: How many steps there are before each of the checkpoints to come.
        """
        self.waited = 0.0
        self._source = source
        self._counts = iter(counts)
        self._batches: Any = None
        self._place = source.steps  # of the next batch, among those that were fetched together

    def take_over(self, model: keras.Model) -> None:
        """Has the next ``fit`` of a compiled model take all steps up to a checkpoint for one of Keras'.

        Its logs are the model's metrics. Batches are fetched before the graph of the steps runs: within it, the other
        nodes that need no batch would be taken for waiting.
        """
        strategy = model.distribute_strategy

        def on_replica(batches: Any, place: tf.Tensor) -> None:
            model.train_step(self._source.batch(batches, place))
            model._train_counter.assign_add(1)  # as the function does that this one stands in for

        @tf.function(reduce_retracing=True)
        def several(batches: Any, begin: tf.Tensor, end: tf.Tensor) -> None:
            with _without_results(model):
                for place in tf.range(begin, end):
                    tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                    strategy.run(on_replica, args=(batches, place))

        @tf.function
        def results() -> Logs:
            values = strategy.run(model.get_metrics_result)
            logs: Logs = tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], values)
            return logs

        def up_to_checkpoint(iterator: Iterator[Any]) -> Logs:
            self._take(next(self._counts), several, iterator)
            logs: Logs = results()
            return logs

        def make_train_function(*_: object) -> Callable[[Iterator[Any]], Logs]:
            model.train_function = up_to_checkpoint
            return up_to_checkpoint

        model.make_train_function = make_train_function

    def _take(self, left: int, several: Callable[[Any, tf.Tensor, tf.Tensor], None], iterator: Iterator[Any]) -> None:
        while left:
            if self._place == self._source.steps:
                start = time.perf_counter()
                self._batches = next(iterator)
                self.waited += time.perf_counter() - start
                self._place = 0
            end = min(self._source.steps, self._place + left)
            several(self._batches, tf.constant(self._place), tf.constant(end))
            left -= end - self._place
            self._place = end


@contextlib.contextmanager
def _without_results(model: keras.Model) -> Iterator[None]:
    """Has a step update the metrics and not compute them, for which several workers have to wait for each other."""
    model.get_metrics_result = dict
    try:
        yield
    finally:
        del model.get_metrics_result
