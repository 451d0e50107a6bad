"""Converts between numpy arrays and ``TensorProto`` messages, faster than TensorFlow's general converters."""

import dataclasses
import functools
import math
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.errors import invalid_argument

TensorProto: TypeAlias = tensor_pb2.TensorProto
MAX_MESSAGE_BYTES = (1 << 31) - 1  # the limit of protocol buffers
MAX_REPEATED = 1 << 20  # otherwise a message of a few bytes could name a shape that fills the memory
# The field of a TensorProto that holds the values, by dtype.
FIELDS: dict[tf.DType, str] = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
    **dict.fromkeys((tf.float16, tf.bfloat16), "half_val"),
    tf.complex64: "scomplex_val",
    tf.complex128: "dcomplex_val",
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8, tf.uint16), "int_val"),
    **dict.fromkeys((tf.qint32, tf.qint16, tf.qint8, tf.quint16, tf.quint8), "int_val"),
}
# What a field stores for a value, if that is not the value itself: the bits of a half, two parts of a complex number.
STORED: dict[tf.DType, Any] = {
    **dict.fromkeys((tf.float16, tf.bfloat16), np.uint16),
    tf.complex64: np.float32,
    tf.complex128: np.float64,
}


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How a ``TensorProto`` stores a dtype.

    Attributes:
        number: Number of the dtype in ``types.proto``.
        field: The field with the values, or ``None`` if TensorFlow has to convert them.
        dtype: The numpy dtype that TensorFlow takes.
        stored: The numpy dtype of the elements of the field.
        parts: Number of elements per value.
    """

    number: int
    field: str | None
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    parts: int


@functools.cache
def encoding_of(number: int) -> Encoding:
    """Returns how a dtype is stored. TensorFlow 1 reference dtypes are stored as their base dtype.

    Args:
        number: Number of the dtype in ``types.proto``.

    Raises:
        TypeError: There is no such dtype.
    """
    dtype = tf.dtypes.as_dtype(number).base_dtype
    array_dtype = np.dtype(dtype.as_numpy_dtype)
    # The numpy dtype of a quantized number is a structure with a single field.
    stored = np.dtype(STORED.get(dtype, array_dtype[0] if array_dtype.fields else array_dtype))
    parts = array_dtype.itemsize // stored.itemsize
    return Encoding(dtype.as_datatype_enum, FIELDS.get(dtype), array_dtype, stored, parts)


def to_array(proto: TensorProto) -> NDArray[Any]:
    """Converts a message to an array.

    Raises:
        ServingError: The message is not a valid tensor, or repeats a value too many times.
    """
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    count = math.prod(sizes)
    try:
        encoding = encoding_of(proto.dtype)
        values = getattr(proto, encoding.field) if encoding.field else ()
        sent_values = len(values) // encoding.parts
        sent = max(sent_values, len(proto.tensor_content))
        if min(sizes, default=0) < 0 or count > MAX_REPEATED + sent:
            raise invalid_argument(
                f"Tensor cannot be parsed: found the shape {sizes} and {sent} values or bytes; expected no negative "
                f"size, and at most {MAX_REPEATED} elements more than are sent"
            )
        if sent_values > count:
            raise invalid_argument(f"Tensor cannot be parsed: found {sent_values} values for the shape {sizes}")
        if proto.tensor_content and encoding.field and encoding.number != types_pb2.DT_STRING:
            return np.frombuffer(proto.tensor_content, encoding.dtype).reshape(sizes).copy()
        if len(values) == count * encoding.parts and not proto.tensor_content:
            return np.array(list(values), encoding.stored).view(encoding.dtype).reshape(sizes)
        array: NDArray[Any] = tf.make_ndarray(proto)  # repeats the last value if there are too few
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise invalid_argument(f"Tensor cannot be parsed: {error}") from error
    return array


def to_proto(array: NDArray[Any], number: int) -> TensorProto:
    """Converts an array to a message with the values in a typed field, such as ``float_val``.

    Args:
        array: The array.
        number: Number of its dtype in ``types.proto``.
    """
    encoding = encoding_of(number)
    if not encoding.field:
        return tf.make_tensor_proto(array, encoding.number)
    proto = TensorProto(dtype=encoding.number)
    proto.tensor_shape.SetInParent()  # a scalar has a shape, too
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    values = array.ravel()
    if values.dtype != encoding.stored:
        values = values.view(encoding.stored)
    getattr(proto, encoding.field).extend(values.tolist())
    return proto


def dtype_name(number: int) -> str:
    """Returns the name of a dtype, such as ``DT_FLOAT``, or the number if it is unknown.

    >>> dtype_name(1), dtype_name(999)
    ('DT_FLOAT', '999')
    """
    return types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else str(number)
