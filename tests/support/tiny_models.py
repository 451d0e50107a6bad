"""SavedModels that run in microseconds, with one signature for each kind of request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

HALF = 0.5
LABELS = ("low", "high")
Function = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]


def write_model(path: Path, plus: float = 2.0) -> Path:
    """Writes a model that computes ``x / 2 + plus``, and has more signatures.

    ``serving_default``: x float [N] to y. ``two``: x float [N] and s string [N] to total float and text_bytes string.
    ``lists``: n int64 [N, any width] to it and to its width.
    ``scalar``: x float [N] to its sum, without rows. ``wait``: waits for x[0] values from ``release``, and returns
    their sum as y. ``release``: gives the values x float [N] to ``wait``. ``classify`` and ``regress``: examples with
    the feature x.
    """
    module = tf.Module()
    module.plus = tf.Variable(plus)
    numbers = tf.TensorSpec([None], tf.float32, "x")

    def parse(examples: tf.Tensor) -> tf.Tensor:
        spec = {"x": tf.io.FixedLenFeature([], tf.float32)}
        return tf.io.parse_example(examples, spec)["x"] * HALF + module.plus

    def classes(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        high = parse(inputs)[:, tf.newaxis]
        labels = tf.tile([list(LABELS)], [tf.shape(high)[0], 1])
        return {"classes": labels, "scores": tf.concat([1 - high, high], axis=1)}

    examples = tf.TensorSpec([None], tf.string, "inputs")
    texts = tf.TensorSpec([None], tf.string, "s")
    lists = tf.TensorSpec([None, None], tf.int64, "n")
    functions: dict[str, Function] = {
        "serving_default": (lambda x: {"y": x * HALF + module.plus}, [numbers]),
        "two": (lambda x, s: {"total": x + module.plus, "text_bytes": s}, [numbers, texts]),
        "lists": (lambda n: {"n": n, "width": tf.fill([tf.shape(n)[0]], tf.shape(n)[1])}, [lists]),
        "scalar": (lambda x: {"sum": tf.reduce_sum(x)}, [numbers]),
        "wait": (_wait, [numbers]),
        "release": (_release, [numbers]),
        "classify": (classes, [examples]),
        "regress": (lambda inputs: {"outputs": parse(inputs)}, [examples]),
    }
    return _save(module, path, functions)


def write_adding_model(path: Path, plus: float) -> Path:
    """Writes a model whose only signature computes ``x / 2 + plus``, like the default signature of the other one."""
    module = tf.Module()
    module.plus = tf.Variable(plus)
    numbers = tf.TensorSpec([None], tf.float32, "x")
    return _save(module, path, {"serving_default": (lambda x: {"y": x * HALF + module.plus}, [numbers])})


TYPES = (
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128, tf.bool, tf.string),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
    *(tf.qint8, tf.qint16, tf.qint32, tf.quint8, tf.quint16),
)


def write_types_model(path: Path) -> Path:
    """Writes a model whose inputs ``NAME`` have each dtype, [N].

    Its outputs are ``NAME_all``, the same tensor, and ``NAME_first``, a scalar. ``text``: the same for strings.
    ``columns``: a and b float [N, 1] to ``a + 10 b``, [N, 1]. ``asset``: x float [N] to the text of an asset.
    """

    @tf.function
    def add(a: tf.Tensor, b: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.matmul(tf.concat([a, b], axis=1), [[1.0], [10.0]])}

    def run(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        every = {f"{name}_all": tf.identity(values) for name, values in inputs.items()}
        return every | {f"{name}_first": tf.gather(values, 0) for name, values in inputs.items()}

    @tf.function
    def read(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([x]):
            return {"text": tf.io.read_file(module.notes.asset_path)}

    notes = path.with_suffix(".notes") / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("a note")
    module = tf.Module()
    module.notes = tf.saved_model.Asset(str(notes))
    specs = {dtype.name: tf.TensorSpec([None], dtype, dtype.name) for dtype in TYPES}
    functions = {
        "serving_default": tf.function(run).get_concrete_function(**specs),
        "asset": read.get_concrete_function(tf.TensorSpec([None], tf.float32, "x")),
        "columns": add.get_concrete_function(*(tf.TensorSpec([None, 1], tf.float32, name) for name in "ab")),
        "text": tf.function(run).get_concrete_function(string=specs["string"]),
    }
    tf.saved_model.save(module, str(path), signatures=functions)
    return path


def numbers(*values: float) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of a signature that takes x."""
    return {"x": np.array(values, np.float32)}


def _save(module: tf.Module, path: Path, functions: dict[str, Function]) -> Path:
    signatures = {key: tf.function(run, input_signature=specs) for key, (run, specs) in functions.items()}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


def _gate() -> tf.Tensor:
    """The queue between ``wait`` and ``release``, one per loaded model."""
    return tf.raw_ops.FIFOQueueV2(component_types=[tf.float32], shapes=[[]], shared_name="gate", capacity=1000)


def _wait(x: tf.Tensor) -> dict[str, tf.Tensor]:
    count = tf.cast(x[0], tf.int32)
    [values] = tf.raw_ops.QueueDequeueManyV2(handle=_gate(), n=count, component_types=[tf.float32])
    return {"y": tf.reduce_sum(values)[tf.newaxis]}


def _release(x: tf.Tensor) -> dict[str, tf.Tensor]:
    with tf.control_dependencies([tf.raw_ops.QueueEnqueueManyV2(handle=_gate(), components=[x])]):
        return {"y": tf.identity(x)}
