"""Features of categories: ``integer``, ``vocabulary`` and ``hashed``. Index 0 means a missing value."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.features import Feature
from models.transforms.columns import MISSING, RawColumns, is_present


def integer(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the integers of a range from 1. The last index stands for all others.

    Returns:
        int64 [N, 1] by name of the feature.
    """
    outputs = {}
    for name, (column,), spec in features:
        values = columns.values[column]
        in_range = (values >= spec.min) & (values <= spec.max)
        indices = tf.where(in_range, values - spec.min + 1, spec.max - spec.min + 2)
        outputs[name] = tf.where(is_present(values), indices, 0)
    return outputs


def vocabulary(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the words of each column from 1, by frequency. All columns are analyzed together.

    Returns:
        int64 [N, 1] by name of the feature.
    """
    # Training does not need Beam.
    from models.transforms.vocabularies import Column, vocabulary_files  # noqa: PLC0415

    def analyzed(feature: Feature) -> Column:
        values = columns.values[feature.column]
        if values.dtype == tf.string:
            return Column(values, is_integer=False, spec=feature.spec)
        words = tf.where(is_present(values), tf.strings.as_string(values), MISSING[tf.string])
        return Column(words, is_integer=True, spec=feature.spec)

    files = vocabulary_files({each.name: analyzed(each) for each in features})
    outputs = {}
    for name, (column,), spec in features:
        values = columns.values[column]
        indices = tft.apply_vocabulary(values, files[name], num_oov_buckets=spec.oov_buckets)
        outputs[name] = tf.where(is_present(values), indices + 1, 0)
    return outputs


def hashed(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the hash buckets of each column from 1.

    Returns:
        int64 [N, 1] by name of the feature.
    """
    outputs = {}
    for name, (column,), spec in features:
        values = columns.values[column]
        text = values if values.dtype == tf.string else tf.strings.as_string(values)
        indices = tf.strings.to_hash_bucket_fast(text, spec.buckets)
        outputs[name] = tf.where(is_present(values), indices + 1, 0)
    return outputs
