"""Predict's requests and replies in JSON: by rows (``instances``) and by columns (``inputs``)."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import Code, ServingError, invalid
from serving.json_values import (
    Json,
    from_base64,
    is_base64,
    list_text,
    shown,
    string_text,
    tensor_text,
    to_bytes,
    type_name,
)
from serving.servable import Array

Format = Literal["row", "columnar"]
INSTANCES, INPUTS, PREDICTIONS, OUTPUTS = "instances", "inputs", "predictions", "outputs"
BYTES_SUFFIX = "_bytes"
TensorInfos = Mapping[str, meta_graph_pb2.TensorInfo]
INT32, UINT64 = (-(2**31), 2**31 - 1), (0, 2**64 - 1)
# What a JSON value of a dtype may be; the small integers are only looked at as 32 bits.
RANGES: dict[tf.DType, tuple[int, int]] = {
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8), INT32),
    tf.int64: (-(2**63), 2**63 - 1),
    tf.uint32: (0, 2**32 - 1),
    tf.uint64: UINT64,
}


def read_inputs(document: dict[str, Json], infos: TensorInfos) -> tuple[dict[str, Array], Format]:
    """The tensors of a request.

    Args:
        document: The request's JSON.
        infos: The signature's inputs.

    Raises:
        ServingError: It does not fit the signature.
    """
    if INSTANCES in document and INPUTS in document:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of '{INPUTS}' or '{INSTANCES}' "
            "keys to exist "
        )
    if INSTANCES in document:
        rows = document[INSTANCES]
        if not isinstance(rows, list):
            raise invalid(f"JSON Value: {shown(document)} Excepting '{INSTANCES}' to be an list/array")
        if not rows:
            raise invalid(f"JSON Value: {shown(document)} No values in '{INSTANCES}' array")
        return _rows(rows, infos), "row"
    if INPUTS in document:
        return _columns(document[INPUTS], infos), "columnar"
    raise invalid(f"Missing '{INPUTS}' or '{INSTANCES}' key")


def write_outputs(outputs: Mapping[str, Array], form: Format) -> bytes:
    """The reply, in the form of the request.

    Raises:
        ServingError: The outputs have no rows, or not as many.
    """
    texts = _row_texts(outputs) if form == "row" else _column_text(outputs)
    return to_bytes(texts)


def _rows(rows: list[Json], infos: TensorInfos) -> dict[str, Array]:
    named = isinstance(rows[0], dict) and not is_base64(rows[0])
    if not named and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    collectors = {name: _Collector(info) for name, info in infos.items()}
    for place, row in enumerate(rows):
        is_object = isinstance(row, dict) and not is_base64(row)
        if named and not is_object:
            raise invalid(f"Expecting object but got list at item {place} of input list")
        if is_object and not named:
            raise invalid(f"Expecting value/list but got object at item {place} of input list")
        if named:
            _add_object(row, place, collectors)
        else:
            try:
                next(iter(collectors.values())).add(row)
            except ServingError as error:
                raise _in_row(error, f"element: {place}") from error
    return {name: collector.array() for name, collector in collectors.items()}


def _add_object(row: dict[str, Json], place: int, collectors: Mapping[str, "_Collector"]) -> None:
    for name, value in row.items():
        try:
            if name not in collectors:
                raise invalid(f"JSON object: does not have named input: {name}")
            collectors[name].add(value)
        except ServingError as error:
            raise _in_row(error, f"element: {place} key: {name}") from error
    if row.keys() != collectors.keys():
        raise invalid(
            f"Failed to process element: {place} of 'instances' list. JSON object: {shown(row)} keys must be equal to: "
            f"{','.join(sorted(collectors))}"
        )


def _in_row(error: ServingError, where: str) -> ServingError:
    text = f"Failed to process {where} of 'instances' list. Error: {error.code.name}: {error.message}"
    return ServingError(error.code, text)


def _columns(value: Json, infos: TensorInfos) -> dict[str, Array]:
    if not isinstance(value, dict) or is_base64(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        [(name, info)] = infos.items()
        return {name: _tensor(value, info)}
    for name in infos:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], info) for name, info in infos.items()}


def _tensor(value: Json, info: meta_graph_pb2.TensorInfo) -> Array:
    dtype = tf.dtypes.as_dtype(info.dtype).base_dtype
    shape = _shape(value)
    return _array(_values(value, dtype, shape), dtype).reshape(shape)


class _Collector:
    """Gathers the values of one input, a row at a time; all rows have the first one's shape."""

    def __init__(self, info: meta_graph_pb2.TensorInfo) -> None:
        self._dtype = tf.dtypes.as_dtype(info.dtype).base_dtype
        self._shape: list[int] | None = None
        self._size = 0
        self._count = 0
        self._found: list[Any] = []

    def add(self, value: Json) -> None:
        shape = _shape(value)
        values = _values(value, self._dtype, shape)
        if self._shape is None:
            self._shape, self._size = shape, len(values)
        if len(values) != self._size:
            raise invalid(f"Expecting tensor size: {self._size} but got: {len(values)}")
        if shape != self._shape:
            raise invalid(f"Expecting shape {_shape_text(self._shape)} but got: {_shape_text(shape)}")
        self._found += values
        self._count += 1

    def array(self) -> Array:
        return _array(self._found, self._dtype).reshape([self._count, *(self._shape or [])])


def _shape(value: Json) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _values(value: Json, dtype: tf.DType, shape: list[int]) -> list[Any]:
    found: list[Any] = []
    _fill(value, 0, dtype, shape, found)
    return found


def _fill(value: Json, level: int, dtype: tf.DType, shape: list[int], found: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{len(shape)}"
            )
        found.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for each in value:
        _fill(each, level + 1, dtype, shape, found)


def _scalar(value: Json, dtype: tf.DType) -> Any:
    fits = False
    if dtype == tf.string:
        if isinstance(value, dict):
            return from_base64(value)
        if isinstance(value, str):
            return to_bytes(value)
    elif dtype == tf.bool:
        fits = isinstance(value, bool)
    elif dtype in (tf.float32, tf.float64, tf.float16):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    elif dtype in RANGES:
        smallest, largest = RANGES[dtype]
        fits = isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest
    else:
        text = f"Conversion of JSON Value: {shown(value)} to type: {dtype.name}"
        raise ServingError(Code.UNIMPLEMENTED, text)
    if not fits:
        raise invalid(
            f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {_dtype_name(dtype)}"
        )
    return value


def _array(values: list[Any], dtype: tf.DType) -> Array:
    if dtype == tf.string:
        return np.array(values, object)
    kind = dtype.as_numpy_dtype
    if dtype.is_floating:
        values = (
            [float(each) if abs(each) < 1e308 else np.sign(each) * np.inf for each in values]
            if any(isinstance(each, int) for each in values)
            else values
        )
    with np.errstate(over="ignore"):
        # Small integers wrap, as in a message's 32-bit field.
        wide = np.int32 if dtype in (tf.int16, tf.int8, tf.uint8) else kind
        return np.array(values, wide).astype(kind)


def _row_texts(outputs: Mapping[str, Array]) -> str:
    count: int | None = None
    for name, array in sorted(outputs.items()):
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if count is not None and len(array) != count:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {count}")
        count = len(array)
    columns = {name: list_text(array, _as_bytes(name)) for name, array in sorted(outputs.items())}
    if len(columns) == 1:
        [rows] = columns.values()
    else:
        names = [string_text(name) for name in columns]
        rows = [
            f"{{{', '.join(f'{name}: {text}' for name, text in zip(names, row, strict=True))}}}"
            for row in zip(*columns.values(), strict=True)
        ]
    return f'{{\n    "{PREDICTIONS}": [{", ".join(rows)}\n    ]\n}}'


def _column_text(outputs: Mapping[str, Array]) -> str:
    texts = {name: tensor_text(array, _as_bytes(name)) for name, array in sorted(outputs.items())}
    if len(texts) == 1:
        [text] = texts.values()
    else:
        text = f"{{{', '.join(f'{string_text(name)}: {each}' for name, each in texts.items())}}}"
    return f'{{\n    "{OUTPUTS}": {text}\n}}'


def _as_bytes(name: str) -> bool:
    return name.endswith(BYTES_SUFFIX)


def _shape_text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _dtype_name(dtype: tf.DType) -> str:
    """As TensorFlow's C++ prints it: ``float``, not ``float32``."""
    names = {types_pb2.DT_FLOAT: "float", types_pb2.DT_DOUBLE: "double", types_pb2.DT_HALF: "half"}
    return names.get(dtype.as_datatype_enum, dtype.name)
