import json
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import Code, ServingError
from serving.rest_json.dtype_rules import rules_for
from serving.rest_json.predict import Format, read_inputs, write_outputs
from serving.rest_json.tensor_formatting import FEW_VALUES, float_texts
from serving.rest_json.values import parse_object
from serving.slices import MAX_VALUES


def read(text: str, **dtypes: tf.DType) -> dict[str, Any]:
    rules = {name: rules_for(dtype.as_datatype_enum) for name, dtype in dtypes.items()}
    inputs, _ = read_inputs(parse_object(text.encode()), rules)
    return {name: array.tolist() for name, array in inputs.items()}


ONE, TWO = {"x": tf.float32}, {"x": tf.float32, "s": tf.string}


@pytest.mark.parametrize(
    ("text", "dtypes", "expected"),
    [
        ('{"instances": [1, 2.5]}', ONE, {"x": [1, 2.5]}),
        ('{"instances": [[1, 2], [3, 4]]}', ONE, {"x": [[1, 2], [3, 4]]}),
        ('{"instances": [{"x": 1}, {"x": 2}]}', ONE, {"x": [1, 2]}),
        ('{"instances": [{"x": [1], "s": "a"}]}', TWO, {"x": [[1]], "s": [b"a"]}),
        ('{"inputs": [1, 2]}', ONE, {"x": [1, 2]}),
        ('{"inputs": 3}', ONE, {"x": 3}),
        ('{"inputs": {"x": [1], "s": ["a", "b"], "extra": 1}}', TWO, {"x": [1], "s": [b"a", b"b"]}),
        ('{"instances": [{"b64": "/wA="}]}', {"s": tf.string}, {"s": [b"\xff\x00"]}),
        ('{"inputs": {"b64": "YQ"}}', {"s": tf.string}, {"s": b"a"}),
        ('{"instances": ["東京"]}', {"s": tf.string}, {"s": ["東京".encode()]}),
        ('{"instances": [1e400, -1e39, 1e-60]}', ONE, {"x": [math.inf, -math.inf, 0.0]}),
        ('{"instances": [9223372036854775807]}', {"x": tf.int64}, {"x": [2**63 - 1]}),
        ('{"instances": [true]}', {"x": tf.bool}, {"x": [True]}),
        ('{"instances": [300]}', {"x": tf.uint8}, {"x": [44]}),
        ('\ufeff {"instances": [1]} and more', ONE, {"x": [1]}),
    ],
)
def test_requests_are_parsed(text: str, dtypes: dict[str, tf.DType], expected: dict[str, Any]) -> None:
    assert read(text, **dtypes) == expected


def test_nan_and_infinity_are_tokens() -> None:
    found = read('{"instances": [NaN, Infinity, -Infinity]}', **ONE)["x"]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("text", "dtypes", "message"),
    [
        ("", ONE, "JSON Parse error: The document is empty"),
        ("{", ONE, "JSON Parse error: "),
        ("[1]", ONE, "JSON Value: [1] Is not object"),
        ("{}", ONE, "Missing 'inputs' or 'instances' key"),
        ('{"inputs": 1, "instances": [1]}', ONE, "expecting only one of 'inputs' or 'instances' keys to exist"),
        ('{"instances": 1}', ONE, "Excepting 'instances' to be an list/array"),
        ('{"instances": []}', ONE, "No values in 'instances' array"),
        ('{"signature_name": 1, "instances": [1]}', ONE, "'signature_name' key must be a string value."),
        ('{"instances": [1]}', TWO, "instances is a plain list, but expecting list of objects"),
        ('{"inputs": [1]}', TWO, "inputs is a plain value/list, but expecting an object"),
        ('{"inputs": {"x": 1}}', TWO, "Missing named input: s in 'inputs' object."),
        ('{"instances": [{"x": 1}]}', TWO, "keys must be equal to: s,x"),
        (
            '{"instances": [{"x": 1, "s": "a", "y": 1}]}',
            TWO,
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not "
            "have named input: y",
        ),
        ('{"instances": [{"x": 1}, 2]}', ONE, "Expecting object but got list at item 1 of input list"),
        ('{"instances": [1, {"x": 2}]}', ONE, "Expecting value/list but got object at item 1 of input list"),
        ('{"instances": [[1], [1, 2]]}', ONE, "Expecting tensor size: 1 but got: 2"),
        ('{"instances": [[[1, 2]], [[1], [2]]]}', ONE, "Expecting shape [1,2] but got: [2,1]"),
        ('{"instances": [[1, [2]]]}', ONE, "Encountered list at unexpected level: 1 expected < 1"),
        ('{"instances": [[[1], 2]]}', ONE, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ('{"instances": [[[1, 2], [3]]]}', ONE, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ('{"instances": ["a"]}', ONE, 'JSON Value: "a" Type: String is not of expected type: float'),
        ('{"instances": [true]}', ONE, "JSON Value: true Type: True is not of expected type: float"),
        ('{"instances": [null]}', ONE, "JSON Value: null Type: Null is not of expected type: float"),
        ('{"instances": [1.0]}', {"x": tf.int64}, "JSON Value: 1.0 Type: Number is not of expected type: int64"),
        ('{"instances": [true]}', {"x": tf.int32}, "Type: True is not of expected type: int32"),
        ('{"instances": [2147483648]}', {"x": tf.int32}, "is not of expected type: int32"),
        ('{"instances": [1]}', {"x": tf.bool}, "is not of expected type: bool"),
        ('{"instances": [1]}', {"x": tf.string}, "JSON Value: 1 Type: Number is not of expected type: string"),
        ('{"instances": [{"b64": "*"}]}', {"x": tf.string}, "Unable to base64 decode"),
        ('{"inputs": {"x": {"b": "YQ"}}}', {"x": tf.string}, "not formatted correctly for base64 data"),
    ],
)
def test_requests_that_do_not_fit_are_rejected(text: str, dtypes: dict[str, tf.DType], message: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(text, **dtypes)
    assert message in caught.value.message
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_dtype_without_json_is_unimplemented() -> None:
    with pytest.raises(ServingError) as caught:
        read('{"instances": [1]}', x=tf.complex64)
    assert caught.value.code == Code.UNIMPLEMENTED


def test_excessive_nesting_is_rejected() -> None:
    with pytest.raises(ServingError, match="JSON Parse error"):
        read('{"instances": ' + "[" * 500_000 + "]" * 500_000 + "}", **ONE)


@pytest.mark.parametrize(
    ("outputs", "form", "expected"),
    [
        ({"y": np.array([[1.0], [2.5]], np.float32)}, "row", {"predictions": [[1.0], [2.5]]}),
        ({"y": np.array([1], np.int64), "z": np.array(["a"], object)}, "row", {"predictions": [{"y": 1, "z": "a"}]}),
        ({"y": np.array([[1.0]], np.float32)}, "columnar", {"outputs": [[1.0]]}),
        ({"y": np.array(3, np.int32)}, "columnar", {"outputs": 3}),
        ({"y": np.array([True]), "z": np.array(2)}, "columnar", {"outputs": {"y": [True], "z": 2}}),
        (
            {"s": np.array([[b"a", b"b"]], object), "t": np.array(b"c", object)},
            "columnar",
            {"outputs": {"s": [["a", "b"]], "t": "c"}},
        ),
        ({"raw_bytes": np.array([[[b"a"]]], object)}, "columnar", {"outputs": [[[{"b64": "YQ=="}]]]}),
        ({"raw_bytes": np.array([b"\xff"], object)}, "row", {"predictions": [{"b64": "/w=="}]}),
        ({"text": np.array(["é".encode()], object)}, "row", {"predictions": ["é"]}),
        ({"y": np.zeros([0, 2], np.float32)}, "row", {"predictions": []}),
        ({"y": np.arange(8.0).reshape(2, 2, 2)}, "row", {"predictions": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]}),
        (
            {"z": np.array([[1, 2], [3, 4]], np.float32), "y": np.array([0.1]), "x": np.array([5.0], np.float32)},
            "columnar",
            {"outputs": {"x": [5.0], "y": [0.1], "z": [[1.0, 2.0], [3.0, 4.0]]}},
        ),
    ],
)
def test_responses_are_written(outputs: dict[str, Any], form: Format, expected: Any) -> None:
    assert json.loads(write_outputs(outputs, form)) == expected


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"y": np.array(1.0)}, "Tensor name: y has no shape information "),
        ({"y": np.zeros(2), "z": np.zeros(3)}, "Tensor name: z has inconsistent batch size: 3 expecting: 2"),
    ],
)
def test_outputs_without_rows_are_rejected(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError, match=message):
        write_outputs(outputs, "row")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3.0"),
        (9_000_000.0, "9e+06"),
        (0.00003, "3e-05"),
        (0.5, "0.5"),
        (1234567.0, "1234567.0"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (-0.0, "-0.0"),
    ],
)
def test_floats_are_short_and_have_a_decimal_point(value: float, text: str) -> None:
    assert float_texts(np.array([value], np.float32)) == [text]


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_round_trips_with_six_digits_if_possible(value: float) -> None:
    [text] = float_texts(np.array([value], np.float32))
    assert float(np.float32(float(text))) == value
    short = f"{value:g}"
    assert float(text) == float(short if np.float32(float(short)) == value else f"{value:.9g}")


@given(value=st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 10).map(lambda x: round(x, 5))))
def test_float64_round_trips_with_six_digits_if_possible(value: float) -> None:
    [text] = float_texts(np.array([value]))
    assert float(text) == value
    assert text.removesuffix(".0") == (f"{value:g}" if float(f"{value:g}") == value else f"{value:.17g}")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(values=st.lists(st.floats() | st.floats(0, 1e7).map(lambda x: round(x, 3)), min_size=1, max_size=5))
def test_many_floats_are_formatted_as_few(dtype: Any, values: list[float]) -> None:
    with np.errstate(over="ignore"):
        array = np.array(values).astype(dtype)
    many = np.resize(array, FEW_VALUES + 1)
    assert float_texts(many)[: len(array)] == float_texts(array)


def test_slices_of_floats_are_joined() -> None:
    values = np.random.default_rng(0).random(2 * MAX_VALUES + 1)
    assert float_texts(values) == [text for part in np.split(values, [7, 5000]) for text in float_texts(part)]
