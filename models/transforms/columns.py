"""Raw columns as tensors, and what a missing value is in each of their forms."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import tensorflow as tf

MISSING = {tf.float32: math.nan, tf.int64: tf.int64.min, tf.string: ""}

RawColumn: TypeAlias = tf.Tensor | tf.SparseTensor
Columns: TypeAlias = Mapping[str, tf.Tensor]


class RawColumns(NamedTuple):
    """The raw columns of N rows by name in TensorFlow's graphs, as the functions in :mod:`models.transforms` read them.

    Attributes:
        values: Dense columns [N, 1], with the placeholder of their dtype where a value is missing. Columns of lists are
            [N, length], filled up with placeholders.
        numbers: The columns of :data:`models.transforms.kinds.NUMERIC_KINDS` as float32 [N, 1], with NaN where a value
            is missing or infinite.
        transformed: The features of the kinds before this one, by name.
    """

    values: Columns
    numbers: Columns
    transformed: Columns


def as_column(values: RawColumn) -> tf.Tensor:
    """Returns ``values`` as a dense [N, 1] tensor that holds the placeholder of its dtype where a value is missing.

    Args:
        values: Sparse with at most one value per row, or dense [N, 1], as float32, int64 or string.
    """
    return as_columns({"": values})[""]


def as_columns(columns: Mapping[str, RawColumn]) -> dict[str, tf.Tensor]:
    """Applies :func:`as_column` to columns with the same number of rows.

    A wide table needs as few operators per column as possible: each is traced, saved and loaded many times.
    """
    sparse = [values for values in columns.values() if isinstance(values, tf.SparseTensor)]
    shape = tf.stack([sparse[0].dense_shape[0], 1]) if sparse else None
    missing = {dtype: tf.constant(MISSING[dtype], dtype) for dtype in {values.dtype for values in sparse}}
    return {
        name: tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), missing[values.dtype])
        if isinstance(values, tf.SparseTensor)
        else tf.reshape(values, [-1, 1])
        for name, values in columns.items()
    }


def as_lists(columns: Mapping[str, RawColumn], lengths: Mapping[str, int]) -> dict[str, tf.Tensor]:
    """Returns columns of lists as dense tensors [N, length], cut, or filled up with the placeholder of their dtype.

    Args:
        columns: Sparse, or dense [N, any width], as float32, int64 or string.
        lengths: Maximum number of values per row, by column.
    """
    return {name: _as_list(values, lengths[name]) for name, values in columns.items()}


def _as_list(values: RawColumn, length: int) -> tf.Tensor:
    missing = tf.constant(MISSING[values.dtype], values.dtype)
    if isinstance(values, tf.SparseTensor):
        # Cut before the tensor is dense, since one long list would make it large.
        shape = tf.stack([values.dense_shape[0], length])
        cut = tf.sparse.slice(values, [0, 0], shape)
        return tf.sparse.to_dense(tf.SparseTensor(cut.indices, cut.values, shape), missing)
    padding = tf.fill([tf.shape(values)[0], length], missing)
    return tf.reshape(tf.concat([values, padding], axis=1)[:, :length], [-1, length])


def is_present(values: tf.Tensor) -> tf.Tensor:
    """Boolean mask of the values (float32, int64 or string) that are not the placeholder of their dtype."""
    if values.dtype.is_floating:
        return tf.math.is_finite(values)
    return tf.not_equal(values, MISSING[values.dtype])


def as_numbers(columns: Columns) -> dict[str, tf.Tensor]:
    """``columns`` as float32 [N, 1], with NaN where a value is missing or infinite."""
    outputs: dict[str, tf.Tensor] = {}
    for dtype in (tf.float32, tf.int64):
        outputs |= together(_known_numbers, {name: each for name, each in columns.items() if each.dtype == dtype})
    return outputs


def _known_numbers(values: tf.Tensor) -> tf.Tensor:
    return tf.where(is_present(values), tf.cast(values, tf.float32), math.nan)


def together(function: Callable[[tf.Tensor], tf.Tensor], columns: Columns) -> dict[str, tf.Tensor]:
    """Applies a function of single values to columns [N, 1] of one dtype, with the operators of one column."""
    if not columns:
        return {}
    return split(function(tf.concat(list(columns.values()), axis=1)), list(columns))


def split(matrix: tf.Tensor, names: list[str]) -> dict[str, tf.Tensor]:
    """The columns [N, 1] of a matrix, by name."""
    return dict(zip(names, tf.split(matrix, len(names), axis=1), strict=True))
