"""A model for what the pushed one cannot show: large messages and slow requests."""

from pathlib import Path

import tensorflow as tf

NAME = "synthetic"
STEPS, SIZE = 3000, 256  # about a second on one core


def write_model(path: Path) -> None:
    """Writes the model.

    ``fill``: n int64 [1] to y float [n]. ``total``: x float [N] to their sum, [1]. ``slow``: returns x float [N] after
    a computation that takes equally long for any N.
    """

    def fill(n: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.random.stateless_uniform([n[0]], [1, 2])}

    def total(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.reduce_sum(x)[tf.newaxis]}

    def slow(x: tf.Tensor) -> dict[str, tf.Tensor]:
        matrix = tf.ones([SIZE, SIZE]) * tf.reduce_max(x * 0 + 1)
        matrix = tf.while_loop(lambda _: True, lambda each: [each @ each / SIZE], [matrix], maximum_iterations=STEPS)[0]
        return {"y": x * matrix[0, 0]}

    numbers = tf.TensorSpec([None], name="x")
    specs = {"fill": (fill, tf.TensorSpec([None], tf.int64, "n")), "total": (total, numbers), "slow": (slow, numbers)}
    signatures = {key: tf.function(run, input_signature=[spec]) for key, (run, spec) in specs.items()}
    tf.saved_model.save(tf.Module(), str(path), signatures=signatures)
