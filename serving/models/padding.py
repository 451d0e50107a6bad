"""Brings requests whose rows have other sizes into one batch: they travel as ragged rows and are padded in there."""

from collections.abc import Sequence

import tensorflow as tf


def packed(inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """A request's inputs in a form whose rows can be put under those of another request.

    Args:
        inputs: The signature's inputs, [N, ...].

    Returns:
        An input itself, or three tensors for one whose rows have no fixed size: its rows, [N] variant; their sizes,
        [N, dimensions] int64; its first value, [N], with which rows are padded. A request without a value is padded
        with zeros or empty strings.

    Raises:
        ValueError: The number of an input's dimensions is not known.
    """
    parts: list[tf.Tensor] = []
    for tensor in inputs:
        if not _varies(tensor):
            parts.append(tensor)
            continue
        count, sizes = tf.shape(tensor, tf.int64)[0], tf.shape(tensor, tf.int64)[1:]
        values = tf.reshape(tensor, [-1])
        splits = tf.range(count + 1) * tf.reduce_prod(sizes)
        rows = tf.raw_ops.RaggedTensorToVariant(rt_nested_splits=[splits], rt_dense_values=values, batched_input=True)
        first = tf.concat([values, tf.zeros([1], values.dtype)], 0)[0]
        parts += [rows, tf.tile(sizes[tf.newaxis], [count, 1]), tf.fill([count], first)]
    return parts


def unpacked(parts: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The inputs of a whole batch, padded to the largest size in each dimension; the reverse of :func:`packed`.

    Args:
        parts: What :func:`packed` made of the requests, one under the other.
        inputs: The signature's inputs, for their types.
    """
    left = iter(parts)
    return [
        _padded(next(left), next(left), next(left), tensor.dtype) if _varies(tensor) else next(left)
        for tensor in inputs
    ]


def _varies(tensor: tf.Tensor) -> bool:
    if tensor.shape.rank is None:
        raise ValueError(f"{tensor.name} has no known number of dimensions, and cannot be padded")
    return None in tensor.shape[1:].as_list()


def _padded(rows: tf.Tensor, sizes: tf.Tensor, first: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    values = tf.raw_ops.RaggedTensorFromVariant(
        encoded_ragged=rows, input_ragged_rank=0, output_ragged_rank=1, Tvalues=dtype
    ).output_dense_values
    largest = tf.reduce_max(sizes, 0)
    axes = range(sizes.shape[1])
    inside = tf.constant(True)
    for axis in axes:
        mask = tf.sequence_mask(sizes[:, axis], largest[axis])
        for other in axes:
            mask = mask if other == axis else tf.expand_dims(mask, other + 1)
        inside = inside & mask
    padding = tf.broadcast_to(tf.reshape(first, [-1] + [1] * len(axes)), tf.shape(inside))
    return tf.tensor_scatter_nd_update(padding, tf.where(inside), values)
