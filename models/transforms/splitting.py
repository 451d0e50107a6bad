"""Splits texts into words, and texts with a separator into values.

A text is put into lower case and split at everything that is not a letter, a mark on a letter or a digit, in any
script. Scripts that do not separate words, such as Chinese, are not split within a sentence.
"""

from typing import Any

import tensorflow as tf

from models.transforms.columns import MISSING, is_present

# TensorFlow lower-cases these as the language of the machine demands: Turkish or Lithuanian.
LOWER = {"İ": "i", "Ì": "ì", "Í": "í", "Ĩ": "ĩ"}
DOT_ABOVE = "\u0307"  # which it adds to some letters in Lithuanian
NO_WORD = r"[^\p{L}\p{M}\p{N}]+"
PAIR = " "  # between the words of a pair


def words_of(texts: tf.Tensor, spec: Any) -> tf.Tensor:
    """The words of texts, string [N, 1], and their pairs: string [N, width], filled up with empty strings."""
    split = tf.strings.split(tf.strings.regex_replace(_lower(texts[:, 0]), NO_WORD, " "))
    words = split.to_tensor("", shape=[None, spec.max_words])
    if spec.ngrams == 1 or spec.max_words == 1:
        return words
    pairs = tf.strings.join([words[:, :-1], words[:, 1:]], PAIR)
    return tf.concat([words, tf.where(words[:, 1:] != "", pairs, "")], axis=1)


def _lower(texts: tf.Tensor) -> tf.Tensor:
    """Texts in lower case, which is the same in all languages that a machine may have."""
    texts = tf.strings.lower(texts)  # of ASCII
    for upper, lower in LOWER.items():
        texts = tf.strings.regex_replace(texts, upper, lower)
    return tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), DOT_ABOVE, "")


def values_of(values: tf.Tensor, spec: Any) -> tf.Tensor:
    """The values of lists as strings [N, max_length], filled up with empty strings.

    Args:
        values: Lists [N, width], or texts [N, 1] if the settings have a separator.
        spec: Settings of the kind of feature.
    """
    if spec.separator:
        parts = tf.strings.split(values[:, 0], spec.separator).to_tensor("", shape=[None, spec.max_length])
        return tf.strings.strip(parts)
    values = values[:, : spec.max_length]
    if values.dtype == tf.string:
        return values
    return tf.where(is_present(values), tf.strings.as_string(values), MISSING[tf.string])
