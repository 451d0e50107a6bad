"""Strings in the graph that is rewritten for TFLite, and their places in vocabularies.

TFLite compares strings, and can do nothing else with them. So the strings of several columns stay separate, and those
that are hashed are passed as their bytes.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from custom_components.tflite_exporter.farmhash import TEXT_BYTES, decimal_text
from serving.edge import NO_BYTE


class StringBytes(NamedTuple):
    """Strings [1, C] as bytes: int32 [C, 64], padded with :data:`NO_BYTE`."""

    byte_values: tf.Tensor


class Decimals(NamedTuple):
    """Integers as decimal numbers: the strings that stand for int64 [1, 1]."""

    numbers: tf.Tensor

    @property
    def byte_values(self) -> tf.Tensor:
        """As in :class:`StringBytes`."""
        return decimal_text(self.numbers[:, 0])


class Columns(NamedTuple):
    """Strings [1, C], of one column each."""

    parts: "tuple[tf.Tensor | StringBytes | Decimals, ...]"


class PrefixedWords(NamedTuple):
    """The keys of a table with the words of several columns. See :func:`models.transforms.vocabularies.prefix`."""

    prefixes: tuple[bytes, ...]
    words: Columns


class Table(NamedTuple):
    """The hash table of a vocabulary."""

    handle: tf.Tensor

    def keys(self, dtype: tf.DType) -> np.ndarray:
        """The vocabulary in the order of its indices: [V], int64 or bytes."""
        with tf.init_scope():
            keys, indices = tf.raw_ops.LookupTableExportV2(table_handle=self.handle, Tkeys=dtype, Tvalues=tf.int64)
            return keys.numpy()[np.argsort(indices.numpy())]


Value: TypeAlias = tf.Tensor | StringBytes | Decimals | Columns | PrefixedWords | Table
TEXT = (StringBytes, Decimals)


def as_columns(value: Value) -> Columns:
    """A string as the only column of :class:`Columns`."""
    return value if isinstance(value, Columns) else Columns((value,))


def words_by_prefix(keys: np.ndarray) -> dict[bytes, np.ndarray]:
    """The words of each column of a file of all columns, by prefix, in the order of the lines."""
    found: dict[bytes, list[bytes]] = {}
    for key in keys:
        end = key.index(b":") + 1
        found.setdefault(key[:end], []).append(key[end:])
    return {prefix: np.array(words, object) for prefix, words in found.items()}


def place(value: Value, words: np.ndarray, start: int, default: tf.Tensor) -> tf.Tensor:
    """The place of a value among words, counted from ``start``, or ``default``: int64 [1, 1]."""
    # One more match after all others stands for a value that is not in the vocabulary.
    matches = tf.pad(tf.cast(matches_of(value, words), tf.int32), [[0, 0], [0, 1]], constant_values=1)
    index = tf.argmax(matches, axis=1, output_type=tf.int64)[:, tf.newaxis]
    return tf.where(index < len(words), index + start, tf.cast(default, tf.int64))


def matches_of(value: Value, words: np.ndarray) -> tf.Tensor:
    """Compares a value with each of the words [V]: bool [1, V]."""
    if isinstance(value, Decimals) and (numbers := _integers(words)) is not None:
        return tf.equal(tf.reshape(value.numbers, [1, 1]), tf.constant(numbers[np.newaxis]))
    if not isinstance(value, TEXT):
        return tf.equal(tf.reshape(value, [1, 1]), tf.constant(words[np.newaxis, :]))
    table = np.full([len(words), TEXT_BYTES], NO_BYTE - 1, np.int32)  # a value that no text contains
    for row, word in zip(table, words, strict=True):
        if len(word) <= TEXT_BYTES:
            row[:] = NO_BYTE
            row[: len(word)] = list(word)
    return tf.reduce_all(tf.equal(value.byte_values[:, tf.newaxis, :], table[np.newaxis]), axis=2)


def _integers(words: np.ndarray) -> np.ndarray | None:
    """The words as int64, if all are integers in the form in which TensorFlow writes them."""
    try:
        numbers = np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError):
        return None
    return numbers if all(str(number).encode() == word for number, word in zip(numbers, words, strict=True)) else None
