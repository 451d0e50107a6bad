"""Takes the steps of a training, and measures how long they wait for their rows."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from models.input import TrainingInput

Logs: TypeAlias = dict[str, Any]


class Steps:
    """The steps of one interval after another, several in each call of TensorFlow.

    Attributes:
        waited: Seconds that they have waited for the input pipeline so far.
    """

    def __init__(self, source: TrainingInput, interval: int) -> None:
        """Takes what the steps learn from.

        Args:
            source: Its datasets are what ``fit`` is given.
            interval: Steps of an interval.
        """
        self.waited = 0.0
        self._source = source
        self._interval = interval
        self._batches: Any = None
        self._place = source.steps  # of the next batch, among those that were fetched together

    def take_over(self, model: keras.Model) -> None:
        """Has the next ``fit`` of a compiled model take a whole interval for one of Keras' steps.

        Its logs are the model's metrics. Batches are fetched before the graph of the steps runs: within it, the other
        nodes that need no batch would be taken for waiting.
        """
        strategy = model.distribute_strategy

        def on_replica(batches: Any, place: tf.Tensor) -> None:
            model.train_step(self._source.batch(batches, place))
            model._train_counter.assign_add(1)

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

        def interval(iterator: Iterator[Any]) -> Logs:
            self._take(several, iterator)
            logs: Logs = results()
            return logs

        def make_train_function(*_: object) -> Callable[[Iterator[Any]], Logs]:
            model.train_function = interval
            return interval

        model.make_train_function = make_train_function

    def _take(self, several: Callable[[Any, tf.Tensor, tf.Tensor], None], iterator: Iterator[Any]) -> None:
        left = self._interval
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
