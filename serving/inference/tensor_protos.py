"""Tensors in protocol buffers, read and written without a detour through TensorFlow's general converters."""

import dataclasses
import functools
import math
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.errors import invalid
from serving.models.servable import Array

TensorProto: TypeAlias = tensor_pb2.TensorProto
MESSAGE_BYTES = (1 << 31) - 1  # which no message of protocol buffers is larger than
MOST_REPEATED = 1 << 20  # a message of a few bytes may name a shape whose values fill the memory
# The field of a TensorProto that has the values of a dtype.
FIELDS: dict[tf.DType, str] = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8, tf.uint16), "int_val"),
}


@dataclasses.dataclass(frozen=True)
class Form:
    """How a message holds a dtype.

    Attributes:
        number: The dtype's in ``types.proto``.
        field: The field that has the values; ``None`` if that is left to TensorFlow.
        array: numpy's dtype.
    """

    number: int
    field: str | None
    array: np.dtype[Any]


@functools.cache
def form_of(number: int) -> Form:
    """How a message holds a dtype; references of TensorFlow 1 are held as what they refer to.

    Raises:
        TypeError: There is no such dtype.
    """
    dtype = tf.dtypes.as_dtype(number).base_dtype
    return Form(dtype.as_datatype_enum, FIELDS.get(dtype), np.dtype(dtype.as_numpy_dtype))


def to_array(proto: TensorProto) -> Array:
    """The tensor of a message.

    Raises:
        ServingError: It is none.
    """
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    count = math.prod(sizes)
    try:
        form = form_of(proto.dtype)
        values = getattr(proto, form.field) if form.field else ()
        carried = max(len(values), len(proto.tensor_content))
        if min(sizes, default=0) < 0 or count > MOST_REPEATED + carried:
            raise invalid(
                f"Tensor cannot be parsed: found the shape {sizes} and {carried} values or bytes; expected no negative "
                f"size, and at most {MOST_REPEATED} elements more than are sent"
            )
        if len(values) > count:
            raise invalid(f"Tensor cannot be parsed: found {len(values)} values for the shape {sizes}")
        if proto.tensor_content and form.field and form.number != types_pb2.DT_STRING:
            return np.frombuffer(proto.tensor_content, form.array).reshape(sizes).copy()
        if len(values) == count and not proto.tensor_content:
            return np.array(list(values), form.array).reshape(sizes)
        array: Array = tf.make_ndarray(proto)  # which also repeats the last value where there are fewer
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise invalid(f"Tensor cannot be parsed: {error}") from error
    return array


def to_proto(array: Array, number: int) -> TensorProto:
    """A tensor as a message, its values in the field of their type.

    Args:
        array: The tensor.
        number: Its dtype's in ``types.proto``.
    """
    form = form_of(number)
    if not form.field:
        return tf.make_tensor_proto(array, form.number)
    proto = TensorProto(dtype=form.number)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, form.field).extend(array.ravel().tolist())
    return proto


def dtype_name(number: int) -> str:
    """A dtype's name in errors, ``DT_FLOAT``; the number itself if there is none."""
    return types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else str(number)
