"""JSON requests and responses of Predict, in row format (``instances``) and columnar format (``inputs``)."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving.errors import ServingError, invalid_argument
from serving.rest_json.tensor_formatting import row_texts
from serving.rest_json.tensor_parsing import (
    DtypeRules,
    flat_values,
    read_tensor,
    read_well_formed,
    shape_of,
    shape_text,
    to_array,
)
from serving.rest_json.values import Json, excerpt, is_base64, string_text, to_bytes

Format = Literal["row", "columnar"]
INSTANCES, INPUTS, PREDICTIONS, OUTPUTS = "instances", "inputs", "predictions", "outputs"
BYTES_SUFFIX = "_bytes"
Rules: TypeAlias = Mapping[str, DtypeRules]


def read_inputs(document: dict[str, Json], rules: Rules) -> tuple[dict[str, NDArray[Any]], Format]:
    """Reads the inputs of a request.

    Args:
        document: The body of the request.
        rules: The rules of the signature's inputs by name.

    Returns:
        The inputs by name, and the format of the request, which is also that of the response.

    Raises:
        ServingError: The request does not fit the signature.
    """
    if INSTANCES in document and INPUTS in document:
        raise invalid_argument(
            f"JSON Value: {excerpt(document)} Not formatted correctly expecting only one of '{INPUTS}' or "
            f"'{INSTANCES}' keys to exist "
        )
    if INSTANCES in document:
        rows = document[INSTANCES]
        if not isinstance(rows, list):
            raise invalid_argument(f"JSON Value: {excerpt(document)} Excepting '{INSTANCES}' to be an list/array")
        if not rows:
            raise invalid_argument(f"JSON Value: {excerpt(document)} No values in '{INSTANCES}' array")
        return _rows(rows, rules), "row"
    if INPUTS in document:
        return _columns(document[INPUTS], rules), "columnar"
    raise invalid_argument(f"Missing '{INPUTS}' or '{INSTANCES}' key")


def write_outputs(outputs: Mapping[str, NDArray[Any]], response_format: Format) -> bytes:
    """Writes the body of the response.

    Raises:
        ServingError: In row format, an output is a scalar, or the outputs differ in their number of rows.
    """
    return to_bytes(_row_response(outputs) if response_format == "row" else _columnar_response(outputs))


def _rows(rows: list[Json], rules: Rules) -> dict[str, NDArray[Any]]:
    named = isinstance(rows[0], dict) and not is_base64(rows[0])
    if not named and len(rules) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    return _well_formed_rows(rows, rules, named) or _checked_rows(rows, rules, named)


def _well_formed_rows(rows: list[Json], rules: Rules, named: bool) -> dict[str, NDArray[Any]] | None:
    """Reads rows of the same form, or returns ``None`` if they may be malformed and have to be checked one by one."""
    if not named:
        columns = dict.fromkeys(rules, rows)
    elif all(type(row) is dict and row.keys() == rules.keys() for row in rows):
        columns = {name: [row[name] for row in rows] for name in rules}
    else:
        return None
    inputs = {}
    for name, dtype_rules in rules.items():
        array = read_well_formed(columns[name], dtype_rules)
        if array is None:
            return None
        inputs[name] = array
    return inputs


def _checked_rows(rows: list[Json], rules: Rules, named: bool) -> dict[str, NDArray[Any]]:
    collectors = {name: _Collector(each) for name, each in rules.items()}
    for index, row in enumerate(rows):
        is_object = isinstance(row, dict) and not is_base64(row)
        if named and not is_object:
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        if is_object and not named:
            raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
        if named:
            _add_object(row, index, collectors)
        else:
            try:
                next(iter(collectors.values())).add(row)
            except ServingError as error:
                raise _row_error(error, f"element: {index}") from error
    return {name: collector.array() for name, collector in collectors.items()}


def _add_object(row: dict[str, Json], index: int, collectors: Mapping[str, "_Collector"]) -> None:
    for name, value in row.items():
        try:
            if name not in collectors:
                raise invalid_argument(f"JSON object: does not have named input: {name}")
            collectors[name].add(value)
        except ServingError as error:
            raise _row_error(error, f"element: {index} key: {name}") from error
    if row.keys() != collectors.keys():
        raise invalid_argument(
            f"Failed to process element: {index} of 'instances' list. JSON object: {excerpt(row)} keys must be equal "
            f"to: {','.join(sorted(collectors))}"
        )


def _row_error(error: ServingError, element: str) -> ServingError:
    text = f"Failed to process {element} of 'instances' list. Error: {error.code.name}: {error.message}"
    return ServingError(error.code, text)


def _columns(value: Json, rules: Rules) -> dict[str, NDArray[Any]]:
    if not isinstance(value, dict) or is_base64(value):
        if len(rules) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        [(name, dtype_rules)] = rules.items()
        return {name: read_tensor(value, dtype_rules)}
    for name in rules:
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: read_tensor(value[name], each) for name, each in rules.items()}


class _Collector:
    """Collects the values of one input row by row. All rows must have the shape of the first one."""

    def __init__(self, rules: DtypeRules) -> None:
        self._rules = rules
        self._shape: list[int] | None = None
        self._size = 0
        self._rows = 0
        self._values: list[Any] = []

    def add(self, value: Json) -> None:
        shape = shape_of(value)
        values = flat_values(value, self._rules, shape)
        if self._shape is None:
            self._shape, self._size = shape, len(values)
        if len(values) != self._size:
            raise invalid_argument(f"Expecting tensor size: {self._size} but got: {len(values)}")
        if shape != self._shape:
            raise invalid_argument(f"Expecting shape {shape_text(self._shape)} but got: {shape_text(shape)}")
        self._values += values
        self._rows += 1

    def array(self) -> NDArray[Any]:
        return to_array(self._values, self._rules).reshape([self._rows, *(self._shape or [])])


def _row_response(outputs: Mapping[str, NDArray[Any]]) -> str:
    count: int | None = None
    for name, array in sorted(outputs.items()):
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if count is not None and len(array) != count:
            raise invalid_argument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {count}")
        count = len(array)
    columns = _column_texts(outputs)
    if len(columns) == 1:
        [rows] = columns.values()
    else:
        names = [string_text(name) for name in columns]
        rows = [
            f"{{{', '.join(f'{name}: {text}' for name, text in zip(names, row, strict=True))}}}"
            for row in zip(*columns.values(), strict=True)
        ]
    return f'{{\n    "{PREDICTIONS}": [{", ".join(rows)}\n    ]\n}}'


def _columnar_response(outputs: Mapping[str, NDArray[Any]]) -> str:
    single_rows = {name: array[np.newaxis] for name, array in outputs.items()}
    texts = {name: text for name, [text] in _column_texts(single_rows).items()}
    if len(texts) == 1:
        [text] = texts.values()
    else:
        text = f"{{{', '.join(f'{string_text(name)}: {each}' for name, each in texts.items())}}}"
    return f'{{\n    "{OUTPUTS}": {text}\n}}'


def _column_texts(outputs: Mapping[str, NDArray[Any]]) -> dict[str, list[str]]:
    return row_texts(dict(sorted(outputs.items())), [name for name in outputs if name.endswith(BYTES_SUFFIX)])
