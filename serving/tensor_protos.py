"""Converts between numpy arrays and ``TensorProto`` messages, faster than TensorFlow's general converters."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.errors import invalid_argument
from serving.large_messages import field_head, length_delimited, parse, read_varint, varint
from serving.slices import MAX_VALUES, slices

TensorProto: TypeAlias = tensor_pb2.TensorProto
Buffer: TypeAlias = bytes | memoryview
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
# Dtypes whose values have the same bytes in their packed field as in memory, on a little-endian machine.
RAW = (tf.float32, tf.float64, tf.complex64, tf.complex128, tf.bool)
SMALL = 64  # values; a list of so few is faster than bytes
CONTENT = TensorProto.DESCRIPTOR.fields_by_name["tensor_content"].number
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
        is_raw: Whether the field on the wire has the same bytes as the array.
    """

    number: int
    field: str | None
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    parts: int
    is_raw: bool


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
    return Encoding(dtype.as_datatype_enum, FIELDS.get(dtype), array_dtype, stored, parts, dtype in RAW)


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
        if proto.tensor_content and encoding.number == types_pb2.DT_STRING:
            return _strings(proto.tensor_content, count).reshape(sizes)
        if proto.tensor_content and encoding.field:
            return np.frombuffer(proto.tensor_content, encoding.dtype).reshape(sizes).copy()
        if len(values) == count * encoding.parts and not proto.tensor_content:
            return _stored_array(values, encoding).view(encoding.dtype).reshape(sizes)
        array: NDArray[Any] = tf.make_ndarray(proto)  # repeats the last value if there are too few
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, DecodeError) as error:
        raise invalid_argument(f"Tensor cannot be parsed: {error}") from error
    return array


def to_proto(array: NDArray[Any], number: int, as_content: bool = False) -> TensorProto:
    """Converts an array to a message. Other threads run in between if it is large.

    Args:
        array: The array.
        number: Number of its dtype in ``types.proto``.
        as_content: Whether to store the values in ``tensor_content`` instead of a typed field such as ``float_val``.
    """
    encoding = encoding_of(number)
    if encoding.field and not as_content and array.size <= (SMALL if encoding.is_raw else MAX_VALUES):
        proto = _empty_proto(array, encoding)
        getattr(proto, encoding.field).extend(_elements(array, encoding).tolist())
        return proto
    return parse(TensorProto, b"".join(serialized_parts(array, number, as_content)))


def serialized_parts(array: NDArray[Any], number: int, as_content: bool = False) -> list[Buffer]:
    """Returns the message of :func:`to_proto`, serialized in parts. Joined, they are the message."""
    encoding = encoding_of(number)
    if not encoding.field:
        return [tf.make_tensor_proto(array, encoding.number).SerializeToString()]
    parts: list[Buffer] = [_empty_proto(array, encoding).SerializeToString()]
    if as_content and encoding.number == types_pb2.DT_STRING:
        return [*parts, length_delimited(CONTENT, _string_content(array.ravel()))]
    elements = _elements(array, encoding)
    if as_content or encoding.is_raw:
        field_number = CONTENT if as_content else TensorProto.DESCRIPTOR.fields_by_name[encoding.field].number
        values = np.ascontiguousarray(elements).view(np.uint8).data
        return [*parts, field_head(field_number, len(values)), values] if len(values) else parts
    for part in slices(len(elements)):
        proto = TensorProto()
        getattr(proto, encoding.field).extend(elements[part].tolist())
        parts.append(proto.SerializeToString())
    return parts


def dtype_name(number: int) -> str:
    """Returns the name of a dtype, such as ``DT_FLOAT``, or the number if it is unknown.

    >>> dtype_name(1), dtype_name(999)
    ('DT_FLOAT', '999')
    """
    return types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else str(number)


def _empty_proto(array: NDArray[Any], encoding: Encoding) -> TensorProto:
    """Returns a message with the dtype and the shape of an array."""
    proto = TensorProto(dtype=encoding.number)
    proto.tensor_shape.SetInParent()  # a scalar has a shape, too
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def _elements(array: NDArray[Any], encoding: Encoding) -> NDArray[Any]:
    """Returns the elements of the typed field, [N]."""
    values = array.ravel()
    return values if values.dtype == encoding.stored else values.view(encoding.stored)


def _stored_array(values: Sequence[Any], encoding: Encoding) -> NDArray[Any]:
    """Returns the elements of a field as an array [N]. Other threads run in between if there are many."""
    if len(values) <= MAX_VALUES:
        return np.array(list(values), encoding.stored)
    stored: NDArray[Any] = np.empty(len(values), encoding.stored)
    for part in slices(len(values)):
        stored[part] = np.array(values[part], encoding.stored)
    return stored


def _string_content(values: NDArray[Any]) -> bytes:
    """Returns strings as TensorFlow encodes them in ``tensor_content``: their lengths as varints, then the bytes."""
    texts = values.tolist()
    return b"".join((*(varint(len(text)) for text in texts), *texts))


def _strings(content: bytes, count: int) -> NDArray[Any]:
    """Reads what :func:`_string_content` writes.

    Raises:
        ValueError: The strings do not fill the content exactly.
        DecodeError: A length is malformed.
        IndexError: There are too few lengths.
    """
    view, position, lengths = memoryview(content), 0, []
    for _ in range(count):
        length, position = read_varint(view, position)
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError(f"found {len(content)} bytes of strings; expected {position + sum(lengths)}")
    ends = itertools.accumulate(lengths, initial=position)
    texts = [content[start:end] for start, end in itertools.pairwise(ends)]
    strings: NDArray[Any] = np.empty(count, object)
    strings[:] = texts
    return strings
