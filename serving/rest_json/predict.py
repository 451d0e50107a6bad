"""Predict's requests and replies in JSON: by rows (``instances``) and by columns (``inputs``)."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import ServingError, invalid
from serving.models.servable import Array
from serving.rest_json.formatting import list_texts
from serving.rest_json.tensors import (
    Kind,
    kind_of,
    read_tensor,
    read_well_formed,
    shape_of,
    shape_text,
    to_array,
    values_of,
)
from serving.rest_json.values import Json, is_base64, shown, string_text, to_bytes

Format = Literal["row", "columnar"]
INSTANCES, INPUTS, PREDICTIONS, OUTPUTS = "instances", "inputs", "predictions", "outputs"
BYTES_SUFFIX = "_bytes"
TensorInfos = Mapping[str, meta_graph_pb2.TensorInfo]


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
    kinds = {name: kind_of(info.dtype) for name, info in infos.items()}
    return _well_formed_rows(rows, kinds, named) or _collected_rows(rows, kinds, named)


def _well_formed_rows(rows: list[Json], kinds: Mapping[str, Kind], named: bool) -> dict[str, Array] | None:
    """The tensors of rows that are all alike; ``None`` for others, which take the way that can say what is wrong."""
    if not named:
        columns = dict.fromkeys(kinds, rows)
    elif all(type(row) is dict and row.keys() == kinds.keys() for row in rows):
        columns = {name: [row[name] for row in rows] for name in kinds}
    else:
        return None
    found = {}
    for name, kind in kinds.items():
        array = read_well_formed(columns[name], kind)
        if array is None:
            return None
        found[name] = array
    return found


def _collected_rows(rows: list[Json], kinds: Mapping[str, Kind], named: bool) -> dict[str, Array]:
    collectors = {name: _Collector(kind) for name, kind in kinds.items()}
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
        return {name: read_tensor(value, kind_of(info.dtype))}
    for name in infos:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: read_tensor(value[name], kind_of(info.dtype)) for name, info in infos.items()}


class _Collector:
    """Gathers the values of one input, a row at a time; all rows have the first one's shape."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._shape: list[int] | None = None
        self._size = 0
        self._count = 0
        self._found: list[Any] = []

    def add(self, value: Json) -> None:
        shape = shape_of(value)
        values = values_of(value, self._kind, shape)
        if self._shape is None:
            self._shape, self._size = shape, len(values)
        if len(values) != self._size:
            raise invalid(f"Expecting tensor size: {self._size} but got: {len(values)}")
        if shape != self._shape:
            raise invalid(f"Expecting shape {shape_text(self._shape)} but got: {shape_text(shape)}")
        self._found += values
        self._count += 1

    def array(self) -> Array:
        return to_array(self._found, self._kind).reshape([self._count, *(self._shape or [])])


def _row_texts(outputs: Mapping[str, Array]) -> str:
    count: int | None = None
    for name, array in sorted(outputs.items()):
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if count is not None and len(array) != count:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {count}")
        count = len(array)
    columns = _texts(outputs)
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
    texts = {
        name: text for name, [text] in _texts({name: array[np.newaxis] for name, array in outputs.items()}).items()
    }
    if len(texts) == 1:
        [text] = texts.values()
    else:
        text = f"{{{', '.join(f'{string_text(name)}: {each}' for name, each in texts.items())}}}"
    return f'{{\n    "{OUTPUTS}": {text}\n}}'


def _texts(outputs: Mapping[str, Array]) -> dict[str, list[str]]:
    return list_texts(dict(sorted(outputs.items())), [name for name in outputs if name.endswith(BYTES_SUFFIX)])
