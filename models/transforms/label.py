"""The label, its scaling, and the weights of the rows."""

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.class_values import numeric_values, text_values
from models.problem.label import Label
from models.problem.problem import Problem
from models.transforms.columns import Columns


def label_of(problem: Problem, values: Columns) -> tf.Tensor:
    """The label: float32 [N, 1] for a regression, else the class as int64 [N, 1], or -1 for a value of no class.

    Args:
        problem: Task and label.
        values: The raw columns of the label, each [N, 1].
    """
    label = problem.label
    column = values[label.column]
    if problem.task == "regression":
        return tf.cast(column, tf.float32)
    if label.above is not None:
        return _above(label, values)
    return _class_index(column, problem.class_names)


def mean_one_weights(column: tf.Tensor) -> tf.Tensor:
    """Weights [N, 1] divided by their mean over the train split."""
    weights = tf.cast(column, tf.float64)
    return tf.cast(tf.math.divide_no_nan(weights, tft.mean(weights)), tf.float32)


def scaled_label(problem: Problem, label: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
    """The target of the network [N, 1], and the constants that it was made with [N, 4]."""
    numbers = tf.cast(label, tf.float64)
    if problem.label.log:
        numbers = tf.sign(numbers) * tf.math.log1p(tf.abs(numbers))
    zero, one = tf.constant(0, tf.float64), tf.constant(1, tf.float64)
    mean, std, low, high = zero, one, zero, zero
    if problem.label.scale != "none":
        mean, variance = tft.mean(numbers), tft.var(numbers)
        std = tf.where(variance > 0, tf.sqrt(variance), one)
    if problem.label.log:
        ends = tft.max(tf.concat([-numbers, numbers], axis=1), reduce_instance_dims=False)
        low, high = -ends[0], ends[1]
    constants = tf.cast(tf.stack([mean, std, low, high]), tf.float32)
    return {
        problem.target_tensor: tf.cast((numbers - mean) / std, tf.float32),
        problem.scaling_tensor: tf.tile(constants[tf.newaxis], [rows, 1]),
    }


def _above(label: Label, values: Columns) -> tf.Tensor:
    assert label.above is not None
    threshold: tf.Tensor | float | None = label.above.value
    if label.above.of is not None:
        threshold = label.above.fraction * tf.cast(values[label.above.of], tf.float32)
    return tf.cast(tf.cast(values[label.column], tf.float32) > threshold, tf.int64)


def _class_index(values: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Class of each value as int64 [N, 1], or -1 if it is not the value of a class."""
    known = text_values(names) if values.dtype == tf.string else numeric_values(names)
    matches = tf.equal(values, tf.constant([list(known)], values.dtype))
    found = tf.reduce_any(matches, axis=1, keepdims=True)
    place = tf.argmax(tf.cast(matches, tf.int32), axis=1)[:, tf.newaxis]
    index = tf.gather(tf.constant(list(known.values()), tf.int64), place)
    return tf.where(found, index, -tf.ones_like(index))
