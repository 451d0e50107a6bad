"""Runs Classify, Regress and MultiInference requests on a loaded version. Error messages are TensorFlow Serving's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from serving.errors import Code, ServingError, invalid_argument
from serving.inference.predict import (
    CLASSIFY,
    DEFAULT_SIGNATURE,
    REGRESS,
    CountExamples,
    ignore_count,
    response_spec,
)
from serving.models.servable import LoadedModel, Signature
from serving.tensor_protos import dtype_name

INPUTS, CLASSES, SCORES, OUTPUTS = "inputs", "classes", "scores", "outputs"
DTYPES = {CLASSES: ("DT_STRING", np.object_), SCORES: ("DT_FLOAT", np.float32)}


def classify(
    servable: LoadedModel,
    request: classification_pb2.ClassificationRequest,
    check_method: bool = False,
    count: CountExamples = ignore_count,
) -> classification_pb2.ClassificationResponse:
    """Runs a Classify request. Arguments and errors are those of :func:`serving.inference.predict.predict`."""
    key = request.model_spec.signature_name or DEFAULT_SIGNATURE
    names = _classification_outputs(servable, key, check_method)
    examples = serialized_examples(request.input)
    count(len(examples))
    result = _classify(servable, key, examples, names)
    return classification_pb2.ClassificationResponse(model_spec=response_spec(servable, key), result=result)


def regress(
    servable: LoadedModel,
    request: regression_pb2.RegressionRequest,
    check_method: bool = False,
    count: CountExamples = ignore_count,
) -> regression_pb2.RegressionResponse:
    """Runs a Regress request. Arguments and errors are those of :func:`serving.inference.predict.predict`."""
    key = request.model_spec.signature_name or DEFAULT_SIGNATURE
    _check_regression(servable, key, check_method)
    examples = serialized_examples(request.input)
    count(len(examples))
    result = _regress(servable, key, examples)
    return regression_pb2.RegressionResponse(model_spec=response_spec(servable, key), result=result)


def multi_inference(
    servable: LoadedModel,
    request: inference_pb2.MultiInferenceRequest,
    check_method: bool = False,
    count: CountExamples = ignore_count,
) -> inference_pb2.MultiInferenceResponse:
    """Runs several signatures of a model on the same examples. Arguments and errors are those of ``predict``."""
    tasks = _checked_tasks(servable, request, check_method)
    examples = serialized_examples(request.input)
    count(len(examples))
    response = inference_pb2.MultiInferenceResponse()
    for key, classes in tasks.items():
        result = response.results.add(model_spec=response_spec(servable, key))
        if classes:
            result.classification_result.CopyFrom(_classify(servable, key, examples, classes))
        else:
            result.regression_result.CopyFrom(_regress(servable, key, examples))
    return response


def serialized_examples(examples: input_pb2.Input) -> NDArray[Any]:
    """Returns the serialized tf.Examples of a request, [N]. The context supplies features that an example lacks.

    Raises:
        ServingError: There are no examples.
    """
    match examples.WhichOneof("kind"):
        case "example_list":
            serialized = [each.SerializeToString() for each in examples.example_list.examples]
        case "example_list_with_context":
            context = examples.example_list_with_context.context.SerializeToString()
            # Two concatenated messages are parsed as one, in which the features of the second one win.
            serialized = [context + each.SerializeToString() for each in examples.example_list_with_context.examples]
        case _:
            serialized = []
    if not serialized:
        raise invalid_argument("Input is empty.")
    return np.array(serialized, object)


def _checked_tasks(
    servable: LoadedModel, request: inference_pb2.MultiInferenceRequest, check_method: bool
) -> dict[str, list[str]]:
    """Returns the outputs to fetch for each signature: those of a classification, or none for a regression."""
    tasks: dict[str, list[str]] = {}
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != servable.name:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        key = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if key in tasks:
            raise invalid_argument(f"Duplicate evaluation of signature: {key}")
        if key not in servable.signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {key}")
        tasks[key] = []
        if task.method_name == CLASSIFY:
            tasks[key] = _classification_outputs(servable, key, check_method)
        elif task.method_name == REGRESS:
            _check_regression(servable, key, check_method)
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    return tasks


def _classification_outputs(servable: LoadedModel, key: str, check_method: bool) -> list[str]:
    signature = _example_signature(servable, key, CLASSIFY, check_method)
    names = [name for name in (CLASSES, SCORES) if name in signature.outputs]
    if not names:
        raise invalid_argument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores".'
        )
    return names


def _classify(
    servable: LoadedModel, key: str, examples: NDArray[Any], names: Sequence[str]
) -> classification_pb2.ClassificationResult:
    values = servable.run(key, {INPUTS: examples}, names)
    for name, value in values.items():
        if value.ndim != 2:
            raise invalid_argument(f"Expected Tensor shape: [batch_size num_{name}] but got {list(value.shape)}")
        if value.dtype != DTYPES[name][1]:
            dtype = dtype_name(servable.signatures[key].outputs[name].dtype)
            raise invalid_argument(f"Expected {name} Tensor of {DTYPES[name][0]}. Got: {dtype}")
        if len(value) != len(examples):
            raise invalid_argument(f"Expected {name} output batch size of {len(examples)}. Got: {len(value)}")
    labels, scores = values.get(CLASSES), values.get(SCORES)
    result = classification_pb2.ClassificationResult()
    for row in range(len(examples)):
        classes = result.classifications.add().classes
        width = (labels if labels is not None else scores).shape[1]  # type: ignore[union-attr]
        for column in range(width):
            entry = classes.add()
            if labels is not None:
                entry.label = labels[row, column].decode("utf-8", "replace")
            if scores is not None:
                entry.score = scores[row, column]
    return result


def _check_regression(servable: LoadedModel, key: str, check_method: bool) -> None:
    signature = _example_signature(servable, key, REGRESS, check_method)
    if OUTPUTS not in signature.outputs:
        raise invalid_argument(f'Expected regression signature outputs to contain "{OUTPUTS}".')


def _regress(servable: LoadedModel, key: str, examples: NDArray[Any]) -> regression_pb2.RegressionResult:
    values = servable.run(key, {INPUTS: examples}, [OUTPUTS])[OUTPUTS]
    if values.shape not in ((len(examples),), (len(examples), 1)):
        raise invalid_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(values.shape)}"
        )
    if values.dtype != np.float32:
        dtype = dtype_name(servable.signatures[key].outputs[OUTPUTS].dtype)
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT. Got: {dtype}")
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _example_signature(servable: LoadedModel, key: str, method: str, check_method: bool) -> Signature:
    signature = servable.signatures.get(key)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {key}")
    if check_method and signature.method_name != method:
        raise invalid_argument(
            f"Expected {method.rpartition('/')[2]} signature method_name to be {method}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1 or INPUTS not in signature.inputs:
        raise invalid_argument(f'Expected signature inputs to be exactly "{INPUTS}"; found {sorted(signature.inputs)}')
    return signature
