"""Features of whether a value is missing."""

from collections.abc import Sequence

import tensorflow as tf

from models.problem.features import Feature
from models.transforms.columns import RawColumns, is_present, together


def missing(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Tells where a value is missing.

    Returns:
        float32 [N, 1] by name of the feature: 1 where the value is missing, else 0.
    """
    values = {each.name: columns.values[each.column] for each in features}
    outputs: dict[str, tf.Tensor] = {}
    for dtype in (tf.float32, tf.int64):
        outputs |= together(_is_missing, {name: each for name, each in values.items() if each.dtype == dtype})
    # Texts are compared one by one, since on a device some are strings and others bytes.
    return outputs | {name: _is_missing(each) for name, each in values.items() if name not in outputs}


def _is_missing(values: tf.Tensor) -> tf.Tensor:
    return 1.0 - tf.cast(is_present(values), tf.float32)
