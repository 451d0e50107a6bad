"""Tensors from JSON, as strict as TensorFlow Serving in what they may hold.

What is well formed is checked and converted a level at a time, in C; only what is not is walked value by value, to say
where it is wrong.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from serving.errors import Code, ServingError, invalid
from serving.models.servable import Array
from serving.rest_json.values import Json, from_base64, shown, to_bytes, type_name

INT32, UINT64 = (-(2**31), 2**31 - 1), (0, 2**64 - 1)
# What a JSON value of a dtype may be; the small integers are only looked at as 32 bits.
RANGES: dict[tf.DType, tuple[int, int]] = {
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8), INT32),
    tf.int64: (-(2**63), 2**63 - 1),
    tf.uint32: (0, 2**32 - 1),
    tf.uint64: UINT64,
}
FLOATING, STRINGS = frozenset([int, float]), frozenset([str])
TYPES: dict[tf.DType, frozenset[type]] = {
    **dict.fromkeys((tf.float16, tf.float32, tf.float64), FLOATING),
    **dict.fromkeys(RANGES, frozenset([int])),
    tf.bool: frozenset([bool]),
    tf.string: STRINGS,
}
SMALL = (tf.int16, tf.int8, tf.uint8)
# As TensorFlow's C++ prints them.
NAMES = {types_pb2.DT_FLOAT: "float", types_pb2.DT_DOUBLE: "double", types_pb2.DT_HALF: "half"}


@dataclasses.dataclass(frozen=True)
class Kind:
    """How values of a dtype are read.

    Attributes:
        name: The dtype's name in errors.
        types: What Python makes of the JSON values that fit; empty if there are none.
        bounds: Smallest and largest whole number, if it is for these.
        wide: The array that values are first put into: small integers wrap, as in a message's 32-bit field.
        array: The array that the model is fed.
    """

    name: str
    types: frozenset[type]
    bounds: tuple[int, int] | None
    wide: np.dtype[Any]
    array: np.dtype[Any]


@functools.cache
def kind_of(number: int) -> Kind:
    """How values of a dtype, by its number in ``types.proto``, are read."""
    dtype = tf.dtypes.as_dtype(number).base_dtype
    array = np.dtype(dtype.as_numpy_dtype)
    return Kind(
        name=NAMES.get(dtype.as_datatype_enum, dtype.name),
        types=TYPES.get(dtype, frozenset()),
        bounds=RANGES.get(dtype),
        wide=np.dtype(np.int32) if dtype in SMALL else array,
        array=array,
    )


def read_tensor(value: Json, kind: Kind) -> Array:
    """The tensor of a value or of nested lists.

    Raises:
        ServingError: The lists are ragged, or a value does not fit the dtype.
    """
    array = read_well_formed(value, kind)
    if array is None:
        shape = shape_of(value)
        array = to_array(values_of(value, kind, shape), kind).reshape(shape)
    return array


def read_well_formed(value: Json, kind: Kind) -> Array | None:
    """The tensor of a value or of nested lists; ``None`` if it has to be looked at value by value."""
    shape = shape_of(value)
    level = [value]
    for size in shape:
        if {*map(type, level)} != {list} or {*map(len, level)} != {size}:
            return None
        level = list(itertools.chain.from_iterable(level))
    types = {*map(type, level)}
    if not kind.types or not types <= (kind.types | {dict} if kind.types == STRINGS else kind.types):
        return None
    try:
        if types == STRINGS:
            values = [to_bytes(each) for each in level]
        else:
            values = [_string(each) for each in level] if dict in types else level
        return to_array(values, kind, int in types).reshape(shape)
    except (OverflowError, ServingError):  # a whole number out of bounds, or no base64
        return None


def shape_of(value: Json) -> list[int]:
    """The shape that the first value of each list shows."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def shape_text(shape: Sequence[int]) -> str:
    """A shape in an error."""
    return f"[{','.join(map(str, shape))}]"


def values_of(value: Json, kind: Kind, shape: Sequence[int]) -> list[Any]:
    """The values of nested lists, one after the other.

    Raises:
        ServingError: A list has another size, or a value another type.
    """
    found: list[Any] = []
    _fill(value, 0, kind, shape, found)
    return found


def to_array(values: list[Any], kind: Kind, with_whole: bool = True) -> Array:
    """Values that were checked, as an array [N]; what is too large for a float is infinite.

    Args:
        values: The values.
        kind: Their kind.
        with_whole: Whether for floats whole numbers may be among them.
    """
    if kind.types != FLOATING:
        return np.array(values, kind.wide).astype(kind.array, copy=False)
    if with_whole:
        values = [each if type(each) is float else _as_float(each) for each in values]
    with np.errstate(over="ignore"):
        return np.array(values, kind.array)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _fill(value: Json, level: int, kind: Kind, shape: Sequence[int], found: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{len(shape)}"
            )
        found.append(_scalar(value, kind))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for each in value:
        _fill(each, level + 1, kind, shape, found)


def _scalar(value: Json, kind: Kind) -> Any:
    if not kind.types:
        raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(value)} to type: {kind.name}")
    if kind.types == STRINGS and isinstance(value, dict | str):
        return _string(value)
    fits = type(value) in kind.types and (not kind.bounds or kind.bounds[0] <= value <= kind.bounds[1])
    if not fits:
        raise invalid(f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {kind.name}")
    return value


def _string(value: Json) -> bytes:
    return to_bytes(value) if isinstance(value, str) else from_base64(value)
