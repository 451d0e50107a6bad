"""Reads tensors from nested JSON lists, with the strict type checks of TensorFlow Serving.

Well-formed lists are checked and converted one nesting level at a time by C functions. Only malformed lists are
traversed value by value, to find the error.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Code, ServingError, invalid_argument
from serving.rest_json.values import Json, excerpt, from_base64, to_bytes, type_name

FLOATING, STRINGS = frozenset([int, float]), frozenset([str])


@dataclasses.dataclass(frozen=True)
class DtypeRules:
    """Which JSON values a dtype accepts, and how they are stored.

    Attributes:
        name: Name of the dtype in error messages.
        types: Python types of valid JSON values. Empty if the dtype is not supported.
        bounds: Minimum and maximum, for integer dtypes.
        intermediate: The dtype that values are stored in first. Small integers wrap around, as they would in the
            32-bit field of a message.
        dtype: The dtype of the model's input.
    """

    name: str
    types: frozenset[type]
    bounds: tuple[int, int] | None
    intermediate: np.dtype[Any]
    dtype: np.dtype[Any]


def read_tensor(value: Json, rules: DtypeRules) -> NDArray[Any]:
    """Reads a tensor from a value or nested lists.

    >>> double = DtypeRules("double", FLOATING, None, np.dtype(np.float64), np.dtype(np.float64))
    >>> read_tensor([[1, 2.5], [3, 4]], double).tolist()
    [[1.0, 2.5], [3.0, 4.0]]

    Raises:
        ServingError: The lists are ragged, or a value does not fit the dtype.
    """
    array = read_well_formed(value, rules)
    if array is None:
        shape = shape_of(value)
        array = to_array(flat_values(value, rules, shape), rules).reshape(shape)
    return array


def read_well_formed(value: Json, rules: DtypeRules) -> NDArray[Any] | None:
    """Reads a tensor, or returns ``None`` if the value may be malformed and has to be checked value by value."""
    shape = shape_of(value)
    level = [value]
    for size in shape:
        if {*map(type, level)} != {list} or {*map(len, level)} != {size}:
            return None
        level = list(itertools.chain.from_iterable(level))
    types = {*map(type, level)}
    if not rules.types or not types <= (rules.types | {dict} if rules.types == STRINGS else rules.types):
        return None
    try:
        if types == STRINGS:
            values = [to_bytes(each) for each in level]
        else:
            values = [_string(each) for each in level] if dict in types else level
        return to_array(values, rules, int in types).reshape(shape)
    except (OverflowError, ServingError):  # an integer out of range, or invalid base64
        return None


def shape_of(value: Json) -> list[int]:
    """Returns the shape of nested lists, judging by the first element of each list.

    >>> shape_of([[1, 2, 3], [4, 5, 6]]), shape_of(7), shape_of([])
    ([2, 3], [], [0])
    """
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def shape_text(shape: Sequence[int]) -> str:
    """Returns a shape for an error message.

    >>> shape_text([2, 3])
    '[2,3]'
    """
    return f"[{','.join(map(str, shape))}]"


def flat_values(value: Json, rules: DtypeRules, shape: Sequence[int]) -> list[Any]:
    """Returns the values of nested lists as a flat list.

    Raises:
        ServingError: A list does not have the expected size, or a value does not fit the dtype.
    """
    values: list[Any] = []
    _collect(value, 0, rules, shape, values)
    return values


def to_array(values: list[Any], rules: DtypeRules, with_integers: bool = True) -> NDArray[Any]:
    """Converts checked values to an array [N]. Values too large for a float become infinite.

    Args:
        values: The values.
        rules: The rules of their dtype.
        with_integers: For float dtypes, whether there may be integers among the values.
    """
    if rules.types != FLOATING:
        return np.array(values, rules.intermediate).astype(rules.dtype, copy=False)
    if with_integers:
        values = [each if type(each) is float else _to_float(each) for each in values]
    with np.errstate(over="ignore"):
        return np.array(values, rules.dtype)


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _collect(value: Json, level: int, rules: DtypeRules, shape: Sequence[int], values: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {excerpt(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at "
                f"level: {len(shape)}"
            )
        values.append(_scalar(value, rules))
        return
    if level >= len(shape):
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for each in value:
        _collect(each, level + 1, rules, shape, values)


def _scalar(value: Json, rules: DtypeRules) -> Any:
    if not rules.types:
        raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {excerpt(value)} to type: {rules.name}")
    if rules.types == STRINGS and isinstance(value, dict | str):
        return _string(value)
    fits = type(value) in rules.types and (not rules.bounds or rules.bounds[0] <= value <= rules.bounds[1])
    if not fits:
        raise invalid_argument(
            f"JSON Value: {excerpt(value)} Type: {type_name(value)} is not of expected type: {rules.name}"
        )
    return value


def _string(value: Json) -> bytes:
    return to_bytes(value) if isinstance(value, str) else from_base64(value)
