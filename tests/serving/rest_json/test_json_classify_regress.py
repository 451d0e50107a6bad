import json
from typing import Any

import pytest
from google.protobuf import json_format
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.errors import ServingError
from serving.rest_json.classify_regress import read_input, write_classifications, write_regressions


def read(document: dict[str, Any]) -> input_pb2.Input:
    given = input_pb2.Input()
    read_input(document, given)
    return given


def features(value: Any) -> dict[str, Any]:
    """The features of one example, as protobuf's own JSON."""
    given = read({"examples": [value]})
    [example] = json_format.MessageToDict(given, preserving_proto_field_name=True)["example_list"]["examples"]
    found: dict[str, Any] = example["features"]["feature"]
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, {"int64_list": {"value": ["1"]}}),
        ([1, -2], {"int64_list": {"value": ["1", "-2"]}}),
        (True, {"int64_list": {"value": ["1"]}}),
        ([True, 7, False], {"int64_list": {"value": ["1", "7", "0"]}}),
        (2**63 - 1, {"int64_list": {"value": ["9223372036854775807"]}}),
        (1.5, {"float_list": {"value": [1.5]}}),
        ([1.0, 2.0], {"float_list": {"value": [1.0, 2.0]}}),
        ("é", {"bytes_list": {"value": ["w6k="]}}),
        ({"b64": "/wA="}, {"bytes_list": {"value": ["/wA="]}}),
        (["a", {"b64": "Yg=="}], {"bytes_list": {"value": ["YQ==", "Yg=="]}}),
    ],
)
def test_value_is_stored_in_the_list_of_its_type(value: Any, expected: dict[str, Any]) -> None:
    assert features({"f": value})["f"] == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2.0], "Unexpected element type in feature: f expecting type: int64"),
        ([1.0, 2], "Unexpected element type in feature: f expecting type: float"),
        ([1.0, True], "Unexpected element type in feature: f expecting type: float"),
        (["a", 1], "Unexpected element type in feature: f expecting type: bytes"),
        (None, "unexpected JSON type: Null"),
        ([[1]], "unexpected JSON type: Array"),
        ({"a": 1}, "unexpected JSON type: Object"),
        (2**63, "Feature: f has uint64 element. Only int64 is supported."),
        ({"b64": "*"}, "Unable to base64 decode"),
    ],
)
def test_value_without_a_list_is_rejected(value: Any, message: str) -> None:
    with pytest.raises(ServingError, match=message.replace("*", r"\*")):
        features({"f": value})


def test_context_is_stored_with_the_examples() -> None:
    given = read({"context": {"c": 1}, "examples": [{"f": 2}, {}]})
    both = given.example_list_with_context
    assert both.context.features.feature["c"].int64_list.value == [1]
    assert [list(each.features.feature) for each in both.examples] == [["f"], []]


def test_results_are_written_as_pairs_and_numbers() -> None:
    classes = classification_pb2.ClassificationResult()
    row = classes.classifications.add()
    row.classes.add(label='"a"', score=3.0)
    row.classes.add(label="b", score=float("nan"))
    assert b'[["\\"a\\"", 3.0], ["b", NaN]]' in write_classifications(classes)
    assert list(json.loads(write_classifications(classes))) == ["results"]
    values = regression_pb2.RegressionResult(regressions=[{"value": 9e6}, {"value": 0.5}])
    assert json.loads(write_regressions(values)) == {"results": [9e6, 0.5]}
    assert b"[9e+06, 0.5]" in write_regressions(values)
