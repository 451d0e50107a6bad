"""Features of lists of numbers: ``numbers``."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from models.problem.features import Feature
from models.transforms.columns import RawColumns, is_present
from models.transforms.numbers import scaled
from models.transforms.splitting import values_of

NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
STATISTICS = ("count", "mean", "min", "max")


def numbers(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Describes lists of numbers by four, each z-scored. All are analyzed together.

    Returns:
        float32 [N, 4] by name of the feature: how many numbers there are, their mean, the smallest and the largest. The
        last three are 0 where there is no number.
    """
    described = {each.name: _statistics(_numbers(each, columns)) for each in features}
    result = scaled("z_score", {f"{name} {part}": parts[part] for name, parts in described.items() for part in parts})
    return {name: tf.concat([result[f"{name} {part}"] for part in STATISTICS], axis=1) for name in described}


def _numbers(feature: Feature, columns: RawColumns) -> tf.Tensor:
    """The numbers of a feature: float32 [N, max_length], with NaN where there is none."""
    values, spec = columns.values[feature.column], feature.spec
    if spec.separator:
        texts = values_of(values, spec)
        is_number = tf.strings.regex_full_match(texts, NUMBER)
        values = tf.strings.to_number(tf.where(is_number, texts, "nan"))
    values = values[:, : spec.max_length]
    return tf.where(is_present(values), tf.cast(values, tf.float32), math.nan)


def _statistics(lists: tf.Tensor) -> dict[str, tf.Tensor]:
    """The count, mean, minimum and maximum of each row, float32 [N, 1]. Without a number, all but the count are NaN."""
    known = tf.math.is_finite(lists)
    count = _reduced(tf.add, tf.cast(known, tf.float32))
    mean = _reduced(tf.add, tf.where(known, lists / tf.maximum(count, 1.0), 0.0))  # a sum before the division overflows
    smallest = _reduced(tf.minimum, tf.where(known, lists, math.inf))
    largest = _reduced(tf.maximum, tf.where(known, lists, -math.inf))
    parts = zip(STATISTICS[1:], (mean, smallest, largest), strict=True)
    return {"count": count} | {name: tf.where(count > 0, value, math.nan) for name, value in parts}


def _reduced(function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], matrix: tf.Tensor) -> tf.Tensor:
    """Reduces each row to one value, [N, 1], in pairs.

    ``tf.reduce_sum`` adds in an order that depends on the size of the batch, and on a device in another one. The last
    bits of a sum depend on the order.
    """
    width: int = matrix.shape[1]
    while width > 1:
        half, rest = width // 2, width - width // 2
        pairs = function(matrix[:, :half], matrix[:, rest:])
        matrix = tf.concat([pairs, matrix[:, half:rest]], axis=1) if half < rest else pairs
        width = rest
    return matrix
