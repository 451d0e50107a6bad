"""Features of categories: ``integer``, ``vocabulary`` and ``hashed``. Index 0 means a missing value."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.features import Feature
from models.transforms.columns import MISSING, RawColumns, is_present, split


def integer(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the integers of a range from 1. The last index stands for all others.

    Returns:
        int64 [N, 1] by name of the feature.
    """
    if not features:
        return {}
    values = tf.concat([columns.values[each.column] for each in features], axis=1)
    low, high = (tf.constant([[getattr(each.spec, end) for each in features]], tf.int64) for end in ("min", "max"))
    in_range = (values >= low) & (values <= high)
    indices = tf.where(in_range, values - low + 1, high - low + 2)
    return split(tf.where(is_present(values), indices, 0), [each.name for each in features])


def vocabulary(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the words of each column from 1, by frequency. All columns are analyzed together.

    Returns:
        int64 [N, 1] by name of the feature.
    """
    if not features:
        return {}
    # Training does not need Beam.
    from models.transforms.vocabularies import Column, prefix, vocabularies  # noqa: PLC0415

    def analyzed(feature: Feature) -> Column:
        values = columns.values[feature.column]
        if values.dtype == tf.string:
            return Column(values, is_integer=False, spec=feature.spec)
        words = tf.where(is_present(values), tf.strings.as_string(values), MISSING[tf.string])
        return Column(words, is_integer=True, spec=feature.spec)

    found = vocabularies({each.name: analyzed(each) for each in features})
    outputs = {}
    for buckets in sorted({each.spec.oov_buckets for each in features}):
        places = [place for place, each in enumerate(features) if each.spec.oov_buckets == buckets]
        same = [features[place] for place in places]
        words = tf.concat([_as_text(columns.values[each.column]) for each in same], axis=1)
        present = tf.concat([is_present(columns.values[each.column]) for each in same], axis=1)
        # One table has the words of all columns. A table per column would make the graph ten times as slow to load.
        prefixes = tf.broadcast_to(tf.constant([[prefix(place) for place in places]]), tf.shape(words))
        lines = tft.apply_vocabulary(tf.strings.join([prefixes, words]), found.together, default_value=-1)
        known = lines - tf.gather(found.starts, places)
        unknown = tf.gather(found.sizes, places) + tf.strings.to_hash_bucket_fast(words, buckets)
        indices = tf.where(lines < 0, unknown, known)
        outputs.update(split(tf.where(present, indices + 1, 0), [each.name for each in same]))
    return outputs


def hashed(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the hash buckets of each column from 1.

    Returns:
        int64 [N, 1] by name of the feature.
    """
    outputs = {}
    for buckets in sorted({each.spec.buckets for each in features}):
        same = [each for each in features if each.spec.buckets == buckets]
        words = tf.concat([_as_text(columns.values[each.column]) for each in same], axis=1)
        present = tf.concat([is_present(columns.values[each.column]) for each in same], axis=1)
        indices = tf.strings.to_hash_bucket_fast(words, buckets)
        outputs.update(split(tf.where(present, indices + 1, 0), [each.name for each in same]))
    return outputs


def _as_text(values: tf.Tensor) -> tf.Tensor:
    return values if values.dtype == tf.string else tf.strings.as_string(values)
