"""JSON requests and responses of Classify and Regress."""

from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import invalid_argument
from serving.rest_json.tensor_formatting import float_texts
from serving.rest_json.values import Json, excerpt, from_base64, is_base64, string_text, to_bytes, type_name

if TYPE_CHECKING:
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

CONTEXT, EXAMPLES, RESULTS = "context", "examples", "results"
KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read_input(document: dict[str, Json], request_input: "input_pb2.Input") -> None:
    """Reads the examples of a request.

    Args:
        document: The body of the request.
        request_input: Where to store the examples.

    Raises:
        ServingError: There are no examples, or a value cannot be stored in a tf.Example.
        UnicodeEncodeError: The name of a feature is not valid UTF-8.
    """
    target: Any = request_input.example_list
    if CONTEXT in document:
        target = request_input.example_list_with_context
        target.context.SetInParent()
        _fill(document[CONTEXT], target.context)
    if EXAMPLES not in document:
        raise invalid_argument(
            f"JSON Value: {excerpt(document)} When method is classify, key '{EXAMPLES}' is expected and was not found"
        )
    examples = document[EXAMPLES]
    if not isinstance(examples, list):
        raise invalid_argument(f"JSON Value: {excerpt(document)} Expecting '{EXAMPLES}' value to be an list/array")
    if not examples:
        raise invalid_argument(f"JSON Value: {excerpt(document)} '{EXAMPLES}' value is an empty array")
    for each in examples:
        _fill(each, target.examples.add())


def write_classifications(result: "classification_pb2.ClassificationResult") -> bytes:
    """Writes the response of Classify: a list of ``[label, score]`` pairs per example."""
    scores = iter(
        float_texts(np.array([each.score for row in result.classifications for each in row.classes], np.float32))
    )
    rows = [
        f"[{', '.join(f'[{string_text(each.label)}, {next(scores)}]' for each in row.classes)}]"
        for row in result.classifications
    ]
    return to_bytes(f'{{\n    "{RESULTS}": [{", ".join(rows)}\n    ]\n}}')


def write_regressions(result: "regression_pb2.RegressionResult") -> bytes:
    """Writes the response of Regress: one number per example."""
    texts = ", ".join(float_texts(np.array([each.value for each in result.regressions], np.float32)))
    return to_bytes(f'{{\n    "{RESULTS}": [{texts}]\n}}')


def _fill(value: Json, example: "example_pb2.Example") -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for each in content if isinstance(content, list) else [content]:
            _add(each, name, feature)


def _add(value: Json, name: str, feature: "feature_pb2.Feature") -> None:
    if isinstance(value, bool):
        _values(feature, "int64_list", name).append(int(value))
    elif isinstance(value, float):
        _values(feature, "float_list", name).append(value)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        _values(feature, "int64_list", name).append(value)
    elif isinstance(value, str):
        _values(feature, "bytes_list", name).append(to_bytes(value))
    elif is_base64(value):
        _values(feature, "bytes_list", name).append(from_base64(value))
    else:
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")


def _values(feature: "feature_pb2.Feature", kind: str, name: str) -> Any:
    current = feature.WhichOneof("kind")
    if current not in (None, kind):
        raise invalid_argument(f"Unexpected element type in feature: {name} expecting type: {KINDS[current]}")
    return getattr(feature, kind).value
