"""How much of a step is spent waiting for its batch."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras as keras


class InputWait:
    """Measures the time that steps wait for the input pipeline.

    Attributes:
        seconds: Waited so far.
    """

    def __init__(self) -> None:
        """Starts at 0."""
        self.seconds = 0.0

    def measure(self, model: keras.Model, batch_of: Callable[[Any, tf.Tensor], Any], steps: int) -> None:
        """Has a compiled model measure itself from its next ``fit`` on, whose logs are the model's metrics.

        Batches are fetched before the graph of the steps runs: within it, the other nodes that need no batch would be
        taken for waiting.

        Args:
            model: Takes Keras' own steps.
            batch_of: One of the batches that were fetched together, by its place.
            steps: How many these are; ``fit`` takes them for one step.
        """
        strategy = model.distribute_strategy

        def on_replica(batches: Any, place: tf.Tensor) -> Any:
            model.train_step(batch_of(batches, place))
            model._train_counter.assign_add(1)

        @tf.function(reduce_retracing=True)
        def all_steps(batches: Any) -> Any:
            with _without_results(model):
                for place in tf.range(steps):
                    tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                    strategy.run(on_replica, args=(batches, place))
            outputs = strategy.run(model.get_metrics_result)
            return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], outputs)

        def train_function(iterator: Any) -> Any:
            start = time.perf_counter()
            batches = next(iterator)
            self.seconds += time.perf_counter() - start
            return all_steps(batches)

        def make_train_function(*_: object) -> Any:
            model.train_function = train_function
            return train_function

        model.make_train_function = make_train_function


@contextlib.contextmanager
def _without_results(model: keras.Model) -> Iterator[None]:
    """Has a step update the metrics and not compute them, for which several workers have to wait for each other."""
    model.get_metrics_result = dict
    try:
        yield
    finally:
        del model.get_metrics_result
