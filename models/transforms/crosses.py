"""Features of combinations of values: ``crossed``.

TFLite cannot join strings. So each value becomes a number below :data:`PRIME` first, and the numbers are the
coefficients of a polynomial, which is evaluated modulo this prime. Combinations that differ in one number have
different hashes before they are assigned to buckets.
"""

from collections.abc import Sequence

import tensorflow as tf

from models.problem.crosses import Cross, Part
from models.problem.features import Feature
from models.transforms.columns import RawColumns, is_present

PRIME = 2**31 - 1  # products of two numbers below it fit into an int64
FACTOR = 1_000_000_007
TEXT_BUCKETS = 2**24 - 3  # the largest prime that devices can divide a hash by


def crossed(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the combinations of the values of several columns from 1.

    Returns:
        int64 [N, 1] by name of the feature. 0 if all values are missing. See :mod:`models.problem.crosses`.
    """
    # Columns that are in several crosses are read once.
    parts = dict.fromkeys(part for each in features for part in each.spec.parts)
    numbers = {part: _number(part, columns) for part in parts}
    return {each.name: _combined(each.spec, [numbers[part] for part in each.spec.parts]) for each in features}


def _number(part: Part, columns: RawColumns) -> tf.Tensor:
    """The value of a column as int64 [N, 1] below :data:`PRIME`, with 0 for a missing one."""
    if part.kind is not None:
        return columns.transformed[part.column]
    values = columns.values[part.column]
    if values.dtype == tf.string:
        known = tf.strings.to_hash_bucket_fast(values, TEXT_BUCKETS)
    else:
        known = tf.math.floormod(values, tf.constant(PRIME - 1, tf.int64))
    return tf.where(is_present(values), known + 1, 0)


def _combined(cross: Cross, numbers: Sequence[tf.Tensor]) -> tf.Tensor:
    combined, *others = numbers
    if cross.buckets is None:
        for part, number in zip(cross.parts[1:], others, strict=True):
            combined = combined * part.size + number
        return combined
    is_known = numbers[0] > 0
    for number in others:
        combined = tf.math.floormod(combined * FACTOR + number, tf.constant(PRIME, tf.int64))
        is_known |= number > 0
    return tf.where(is_known, 1 + tf.math.floormod(combined, tf.constant(cross.buckets, tf.int64)), 0)
