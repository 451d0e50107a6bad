"""How much of a step is spent waiting for its batch."""

from typing import Any

import tensorflow as tf
import tf_keras as keras


class InputWait:
    """Measures, in the graph of the step itself, the time that it waits for the input pipeline.

    Attributes:
        seconds: A float64 variable of the time waited so far.
    """

    def __init__(self) -> None:
        """Starts at 0."""
        with tf.init_scope():
            self.seconds = tf.Variable(0.0, trainable=False, dtype=tf.float64)

    def measure(self, model: keras.Model) -> None:
        """Has a compiled model measure itself from its next ``fit`` on; Keras' own step, with the time taken."""
        strategy = model.distribute_strategy

        def step(batch: Any) -> Any:
            outputs = model.train_step(batch)
            with tf.control_dependencies(tf.nest.flatten(outputs)):
                model._train_counter.assign_add(1)
            return outputs

        @tf.function(reduce_retracing=True)
        def train_function(iterator: Any) -> Any:
            before = tf.timestamp()
            with tf.control_dependencies([before]):
                batch = next(iterator)
            with tf.control_dependencies(_tensors(strategy, batch)):
                self.seconds.assign_add(tf.timestamp() - before)
            outputs = strategy.run(step, args=(batch,))
            return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], outputs)

        def make_train_function(*_: object) -> Any:
            model.train_function = train_function
            return train_function

        model.make_train_function = make_train_function


def _tensors(strategy: tf.distribute.Strategy, batch: Any) -> list[tf.Tensor]:
    """All tensors of a batch, on all replicas of this process."""
    return tf.nest.flatten([strategy.experimental_local_results(part) for part in tf.nest.flatten(batch)])
