"""Features of numbers: ``dense``, ``ratio``, ``difference``, ``bucketed`` and ``cyclical``."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.features import Feature
from models.problem.numbers import Difference, Ratio
from models.transforms.columns import Columns, RawColumns, is_present, split, together

QUANTILE_ERROR = 0.001  # fraction of the rows by which the size of a bucket may be off
SMALLEST = 2.0**-126  # positive float32 with all of its digits


def dense(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Scales numbers, ratios and differences. All with the same ``scale`` are scaled together.

    Returns:
        float32 [N, 1] by name of the feature. 0 where a number is missing.
    """
    numbers = {each.name: _number(each, columns) for each in features}
    numbers |= together(_logarithm, {each.name: numbers[each.name] for each in features if each.spec.log})
    outputs = {}
    for scale in SCALERS:
        names = [each.name for each in features if each.spec.scale == scale]
        outputs.update(scaled(scale, {name: numbers[name] for name in names}))
    return outputs


def scaled(scale: str, numbers: Columns) -> dict[str, tf.Tensor]:
    """Scales columns of numbers together.

    Args:
        scale: ``z_score``, ``min_max`` or ``none``.
        numbers: float32 [N, 1] each, with NaN where a number is missing.

    Returns:
        The same columns, scaled, with 0 where a number is missing.
    """
    if not numbers:
        return {}
    matrix = tf.concat(list(numbers.values()), axis=1)
    result = SCALERS[scale](matrix)
    # A number too far from the analyzed ones overflows. It becomes 0, as a missing one does.
    result = tf.where(tf.math.is_finite(matrix) & tf.math.is_finite(result), result, 0.0)
    return split(result, list(numbers))


def _scale_to_range(matrix: tf.Tensor) -> tf.Tensor:
    """Scales columns to 0 .. 1 over their known values. TFT's own scaler cannot handle a column with a NaN."""
    known = tf.math.is_finite(matrix)
    smallest = tft.min(tf.where(known, matrix, math.inf), reduce_instance_dims=False)
    largest = tft.max(tf.where(known, matrix, -math.inf), reduce_instance_dims=False)
    return tf.math.divide_no_nan(matrix - smallest, largest - smallest)


SCALERS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "z_score": lambda matrix: tft.scale_to_z_score(matrix, elementwise=True),
    "min_max": _scale_to_range,
    "none": tf.identity,
}


def _number(feature: Feature, columns: RawColumns) -> tf.Tensor:
    """The number that is scaled, float32 [N, 1], with NaN where it is missing."""
    numbers = [columns.numbers[column] for column in feature.columns]
    match feature.spec:
        case Ratio():
            # Devices and servers do not agree on numbers that are almost zero.
            numerator, denominator = numbers
            result = tf.where(tf.abs(denominator) < SMALLEST, math.nan, numerator / denominator)
        case Difference():
            result = _difference(*(columns.values[column] for column in feature.columns), *numbers)
        case _:
            return numbers[0]
    return tf.where(tf.math.is_finite(result), result, math.nan)


def _difference(left: tf.Tensor, right: tf.Tensor, left_number: tf.Tensor, right_number: tf.Tensor) -> tf.Tensor:
    """``left - right`` as float32. Integers are subtracted exactly, since a float32 cannot hold seconds since 1970."""
    result = left_number - right_number
    if not left.dtype == right.dtype == tf.int64:
        return result
    fits = tf.abs(result) < 2.0**62  # also false where a number is missing
    return tf.where(fits, tf.cast(left - right, tf.float32), result)


def _logarithm(numbers: tf.Tensor) -> tf.Tensor:
    return tf.sign(numbers) * in_float64(tf.math.log1p, tf.abs(numbers))


def in_float64(function: Callable[[tf.Tensor], tf.Tensor], numbers: tf.Tensor) -> tf.Tensor:
    """Computes ``function`` in float64 and rounds to float32.

    TensorFlow computes most rows of a batch with vector instructions and the last few without. The two differ in the
    last bit of a logarithm or a sine, so in float32 a row's value would depend on its position in the batch.
    """
    return tf.cast(function(tf.cast(numbers, tf.float64)), tf.float32)


def bucketed(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Finds the quantile of each number. Those of all columns with the same number of buckets are computed together.

    Returns:
        int64 [N, 1] by name of the feature: 0 for a missing number, else 1 to the number of buckets.
    """
    outputs = {}
    for buckets in sorted({each.spec.buckets for each in features}):
        same = [each for each in features if each.spec.buckets == buckets]
        matrix = tf.concat([columns.numbers[each.column] for each in same], axis=1)
        boundaries = tft.quantiles(matrix, buckets, QUANTILE_ERROR, reduce_instance_dims=False)
        present = tf.math.is_finite(matrix)
        known = tf.where(present, matrix, 0.0)
        # Each row of the transposed matrix is searched in its own boundaries.
        found = tf.searchsorted(boundaries, tf.transpose(known), side="right", out_type=tf.int64)
        indices = tf.where(present, tf.transpose(found) + 1, 0)
        outputs.update(split(indices, [each.name for each in same]))
    return outputs


def cyclical(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Places numbers on a circle.

    Returns:
        float32 [N, 2] by name of the feature: sine and cosine, or (0, 0) where a number is missing.
    """
    return {each.name: circle(columns.values[each.column], each.spec.period) for each in features}


def circle(values: tf.Tensor, period: float) -> tf.Tensor:
    """Sine and cosine of the angle of each value, float32 [N, 2], or (0, 0) where it is missing.

    Args:
        values: float32 or int64 [N, 1].
        period: The value of a whole turn.
    """
    # Take the remainder before rounding, since a float32 cannot hold seconds since 1970.
    present = is_present(values)
    known = tf.where(present, values, tf.constant(0, values.dtype))
    exact = known.dtype == tf.int64 and float(period).is_integer() and period < tf.int64.max
    divisor = tf.constant(int(period), tf.int64) if exact else tf.constant(period, tf.float64)
    remainder = tf.math.floormod(tf.cast(known, divisor.dtype), divisor)
    angle = tf.cast(remainder, tf.float64) * (2 * math.pi / period)
    point = tf.cast(tf.concat([tf.sin(angle), tf.cos(angle)], axis=1), tf.float32)
    return tf.where(present, point, 0.0)
