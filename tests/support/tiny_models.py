"""SavedModels that answer in microseconds, one signature for each thing a client may ask."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

HALF = 0.5
LABELS = ("low", "high")


def write_model(path: Path, plus: float = 2.0) -> Path:
    """``x / 2 + plus``, and more signatures beside it.

    ``serving_default``: x float [N] to y; ``two``: x float [N] and s string [N] to total float and text_bytes string;
    ``scalar``: x float [N] to its sum, without rows; ``slow``: x products of large matrices;
    ``classify`` and ``regress``: examples with the feature x.
    """
    module = tf.Module()
    module.plus = tf.Variable(plus)
    numbers = tf.TensorSpec([None], tf.float32, "x")

    def parsed(examples: tf.Tensor) -> tf.Tensor:
        spec = {"x": tf.io.FixedLenFeature([], tf.float32)}
        return tf.io.parse_example(examples, spec)["x"] * HALF + module.plus

    def classes(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        high = parsed(inputs)[:, tf.newaxis]
        labels = tf.tile([list(LABELS)], [tf.shape(high)[0], 1])
        return {"classes": labels, "scores": tf.concat([1 - high, high], axis=1)}

    def slow(x: tf.Tensor) -> dict[str, tf.Tensor]:
        # As many products of a matrix with itself as x says.
        start = tf.fill([1000, 1000], 1e-3)
        steps = tf.cast(x[0], tf.int32)
        _, product = tf.while_loop(
            lambda step, _: step < steps, lambda step, each: (step + 1, each @ start), (0, start)
        )
        return {"y": tf.reduce_sum(product)[tf.newaxis]}

    examples = tf.TensorSpec([None], tf.string, "inputs")
    texts = tf.TensorSpec([None], tf.string, "s")
    functions: dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]] = {
        "serving_default": (lambda x: {"y": x * HALF + module.plus}, [numbers]),
        "two": (lambda x, s: {"total": x + module.plus, "text_bytes": s}, [numbers, texts]),
        "scalar": (lambda x: {"sum": tf.reduce_sum(x)}, [numbers]),
        "slow": (slow, [numbers]),
        "classify": (classes, [examples]),
        "regress": (lambda inputs: {"outputs": parsed(inputs)}, [examples]),
    }
    signatures = {key: tf.function(run, input_signature=specs) for key, (run, specs) in functions.items()}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path
