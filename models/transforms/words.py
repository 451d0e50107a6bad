"""Features with several words per row: ``text`` and ``tags``. Index 0 means no word, or an unknown one of a text."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_transform as tft

from models.problem.features import Feature
from models.problem.lists import WEIGHTS
from models.transforms.columns import RawColumns
from models.transforms.splitting import values_of, words_of


class _Words(NamedTuple):
    """The words of a feature: string [N, width], filled up with empty strings."""

    feature: Feature
    words: tf.Tensor


def text(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the words of texts from 1, by the number of texts with them, or by their hash.

    Returns:
        By name of the feature: int64 [N, width], where 0 stands for an unknown word or for no word. By the same name
        followed by :data:`WEIGHTS`, for ``tf_idf``: float32 [N, width], the inverse document frequency of each word, as
        in scikit-learn, or 0. A word that occurs twice has two places in the row, so the sum over its places is its
        tf-idf.
    """
    found = [_Words(each, words_of(columns.values[each.column], each.spec)) for each in features]
    return _indices(found, idf=lambda spec: spec.weights == "tf_idf", oov_buckets=lambda _spec: 0)


def tags(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Numbers the categories of lists from 1, by the number of rows with them, or by their hash.

    Returns:
        int64 [N, max_length] by name of the feature, where 0 stands for a missing value.
    """
    found = [_Words(each, values_of(columns.values[each.column], each.spec)) for each in features]
    return _indices(found, idf=lambda _spec: False, oov_buckets=lambda spec: spec.oov_buckets)


def _indices(
    found: Sequence[_Words], idf: Callable[[Any], bool], oov_buckets: Callable[[Any], int]
) -> dict[str, tf.Tensor]:
    # Training does not need Beam.
    from models.transforms.vocabularies import Column, document_vocabularies  # noqa: PLC0415

    in_vocabulary = [each for each in found if not each.feature.spec.buckets]
    analyzed = document_vocabularies(
        {
            name: Column(words, is_integer=False, spec=spec, has_idf=idf(spec))
            for (name, _, spec), words in in_vocabulary
        }
    )
    outputs: dict[str, tf.Tensor] = {}
    for (name, _, spec), words in found:
        if spec.buckets:
            hashes = tf.strings.to_hash_bucket_fast(words, spec.buckets)
            outputs[name] = tf.where(words != "", hashes + 1, 0)
            continue
        path, weights = analyzed[name]
        indices = tft.apply_vocabulary(words, path, default_value=-1, num_oov_buckets=oov_buckets(spec))
        outputs[name] = tf.where(words != "", indices + 1, 0)
        if weights is not None:
            outputs[name + WEIGHTS] = tf.gather(tf.concat([[0.0], weights], axis=0), outputs[name])
    return outputs
