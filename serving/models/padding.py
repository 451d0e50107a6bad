"""Merges requests whose rows differ in size: they enter the batch as ragged rows and are padded inside it."""

from collections.abc import Sequence

import tensorflow as tf


def pack(inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Converts a request's inputs into tensors that can be concatenated with those of other requests.

    Args:
        inputs: The signature's inputs, [N, ...].

    Returns:
        Inputs with a fixed row size, unchanged, and three tensors for each other input: its rows (variant [N]), their
        sizes (int64 [N, dimensions]) and the padding value ([N]). The padding value is the first value of the request,
        or zero or an empty string if the request has no values.

    Raises:
        ValueError: The rank of an input is unknown.
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


def unpack(parts: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Converts the concatenated tensors of :func:`pack` back into inputs, padded to the largest row of the batch.

    Args:
        parts: The concatenated tensors.
        inputs: The signature's inputs, for their dtypes and shapes.
    """
    left = iter(parts)
    return [
        _padded(next(left), next(left), next(left), tensor.dtype) if _varies(tensor) else next(left)
        for tensor in inputs
    ]


def _varies(tensor: tf.Tensor) -> bool:
    if tensor.shape.rank is None:
        raise ValueError(f"{tensor.name} has an unknown rank and cannot be padded")
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
