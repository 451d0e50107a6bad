"""Predict, Classify, Regress and MultiInference over a loaded version; texts of errors are TensorFlow Serving's."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.errors import Code, ServingError, invalid
from serving.inference.tensor_protos import TensorProto, dtype_name, form_of, to_array, to_proto
from serving.models.servable import Array, Servable, Signature

DEFAULT = "serving_default"
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress"))
INPUTS, CLASSES, SCORES, OUTPUTS = "inputs", "classes", "scores", "outputs"
Count: TypeAlias = Callable[[int], None]


def no_count(_rows: int) -> None:
    """Counts no rows."""


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, check_method: bool = False, count: Count = no_count
) -> predict_pb2.PredictResponse:
    """Answers Predict.

    Args:
        servable: The version.
        request: Its inputs by name.
        check_method: Whether the signature must be one for Predict.
        count: Told the rows of the request, once they are read.

    Raises:
        ServingError: The request does not fit the signature, or TensorFlow cannot run it.
    """
    key = request.model_spec.signature_name or DEFAULT
    signature = servable.signatures.get(key)
    if signature is None:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
    if check_method and signature.method_name not in (PREDICT, CLASSIFY, REGRESS):
        raise invalid(
            f"Expected prediction signature method_name to be one of {{{PREDICT}, {CLASSIFY}, {REGRESS}}}. "
            f"Was: {signature.method_name}"
        )
    inputs = _fed(signature, request.inputs)
    count(rows(inputs))
    wanted = _filtered(signature, list(request.output_filter))
    response = predict_pb2.PredictResponse(model_spec=_spec(servable, key))
    for name, value in servable.run(key, inputs, wanted).items():
        response.outputs[name].CopyFrom(to_proto(value, signature.outputs[name].dtype))
    return response


def classify(
    servable: Servable,
    request: classification_pb2.ClassificationRequest,
    check_method: bool = False,
    count: Count = no_count,
) -> classification_pb2.ClassificationResponse:
    """Answers Classify; raises as :func:`predict` does."""
    key = request.model_spec.signature_name or DEFAULT
    examples = serialized(request.input)
    count(len(examples))
    result = _classified(servable, key, examples, check_method)
    return classification_pb2.ClassificationResponse(model_spec=_spec(servable, key), result=result)


def regress(
    servable: Servable, request: regression_pb2.RegressionRequest, check_method: bool = False, count: Count = no_count
) -> regression_pb2.RegressionResponse:
    """Answers Regress; raises as :func:`predict` does."""
    key = request.model_spec.signature_name or DEFAULT
    examples = serialized(request.input)
    count(len(examples))
    result = _regressed(servable, key, examples, check_method)
    return regression_pb2.RegressionResponse(model_spec=_spec(servable, key), result=result)


def multi_inference(
    servable: Servable,
    request: inference_pb2.MultiInferenceRequest,
    check_method: bool = False,
    count: Count = no_count,
) -> inference_pb2.MultiInferenceResponse:
    """Answers several signatures of one model over the same input; raises as :func:`predict` does."""
    examples = serialized(request.input)
    count(len(examples))
    response = inference_pb2.MultiInferenceResponse()
    seen: set[str] = set()
    for task in request.tasks:
        if task.model_spec.name != servable.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        key = task.model_spec.signature_name or DEFAULT
        if key in seen:
            raise invalid(f"Duplicate evaluation of signature: {key}")
        seen.add(key)
        result = response.results.add(model_spec=_spec(servable, key))
        if task.method_name == CLASSIFY:
            result.classification_result.CopyFrom(_classified(servable, key, examples, check_method))
        elif task.method_name == REGRESS:
            result.regression_result.CopyFrom(_regressed(servable, key, examples, check_method))
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    return response


def rows(inputs: Mapping[str, Array]) -> int:
    """How many rows a request has, by its first input; one without a dimension has one."""
    shape = next(iter(inputs.values())).shape if inputs else ()
    return shape[0] if shape else 1


def serialized(given: input_pb2.Input) -> Array:
    """The examples of an Input, each with the context's features where it has none of its own; [N].

    Raises:
        ServingError: There are none.
    """
    match given.WhichOneof("kind"):
        case "example_list":
            examples = [each.SerializeToString() for each in given.example_list.examples]
        case "example_list_with_context":
            context = given.example_list_with_context.context.SerializeToString()
            # Two messages one behind the other are parsed as one, in which the later one's features win.
            examples = [context + each.SerializeToString() for each in given.example_list_with_context.examples]
        case _:
            examples = []
    if not examples:
        raise invalid("Input is empty.")
    return np.array(examples, object)


def as_messages(
    servable: Servable, key: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array]
) -> tuple[predict_pb2.PredictRequest, predict_pb2.PredictResponse]:
    """A request that came as JSON, and its answer, as gRPC would have them."""
    signature, spec = servable.signatures[key], _spec(servable, key)
    request, response = predict_pb2.PredictRequest(model_spec=spec), predict_pb2.PredictResponse(model_spec=spec)
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array, signature.inputs[name].dtype))
    for name, array in outputs.items():
        response.outputs[name].CopyFrom(to_proto(array, signature.outputs[name].dtype))
    return request, response


def _fed(signature: Signature, given: Mapping[str, TensorProto]) -> dict[str, Array]:
    missing = sorted(name for name in signature.inputs if name not in given and name not in signature.defaults)
    extra = sorted(name for name in given if name not in signature.inputs)
    if missing or extra:
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(signature.inputs)} "
            f"len({{{','.join(sorted(given))}}})!=len({{{','.join(sorted(signature.inputs))}}}). "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )
    inputs = {}
    for name, info in signature.inputs.items():
        proto = given[name] if name in given else signature.defaults[name]
        expected = form_of(info.dtype).number
        if proto.dtype != expected:
            raise invalid(f"input {name} has dtype {dtype_name(proto.dtype)}; expected {dtype_name(expected)}")
        inputs[name] = to_array(proto)
    return inputs


def _filtered(signature: Signature, wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )
    if len(set(wanted)) != len(wanted):
        raise invalid(f"duplicate output tensor alias: {next(name for name in wanted if wanted.count(name) > 1)}")
    return list(wanted) or sorted(signature.outputs)


def _classified(
    servable: Servable, key: str, examples: Array, check_method: bool
) -> classification_pb2.ClassificationResult:
    signature = _of_examples(servable, key, CLASSIFY, check_method)
    names = [name for name in (CLASSES, SCORES) if name in signature.outputs]
    if not names:
        raise invalid('Expected classification signature outputs to contain at least one of "classes" or "scores".')
    values = servable.run(key, {INPUTS: examples}, names)
    for name, value in values.items():
        if value.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_{name}] but got {list(value.shape)}")
        if len(value) != len(examples):
            raise invalid(f"Expected {name} output batch size of {len(examples)}. Got: {len(value)}")
    labels, scores = values.get(CLASSES), values.get(SCORES)
    result = classification_pb2.ClassificationResult()
    for row in range(len(examples)):
        classes = result.classifications.add().classes
        width = (labels if labels is not None else scores).shape[1]  # type: ignore[union-attr]
        for column in range(width):
            found = classes.add()
            if labels is not None:
                found.label = labels[row, column].decode("utf-8", "replace")
            if scores is not None:
                found.score = scores[row, column]
    return result


def _regressed(servable: Servable, key: str, examples: Array, check_method: bool) -> regression_pb2.RegressionResult:
    signature = _of_examples(servable, key, REGRESS, check_method)
    if OUTPUTS not in signature.outputs:
        raise invalid(f'Expected regression signature outputs to contain "{OUTPUTS}".')
    values = servable.run(key, {INPUTS: examples}, [OUTPUTS])[OUTPUTS]
    if values.shape not in ((len(examples),), (len(examples), 1)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(values.shape)}"
        )
    if values.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT. Got: {dtype_name(signature.outputs[OUTPUTS].dtype)}")
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _of_examples(servable: Servable, key: str, method: str, check_method: bool) -> Signature:
    signature = servable.signatures.get(key)
    if signature is None:
        raise invalid(f"No signature was found with the name: {key}")
    if check_method and signature.method_name != method:
        raise invalid(
            f"Expected {method.rpartition('/')[2]} signature method_name to be {method}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1 or INPUTS not in signature.inputs:
        raise invalid(f'Expected signature inputs to be exactly "{INPUTS}"; found {sorted(signature.inputs)}')
    return signature


def _spec(servable: Servable, key: str) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=servable.name, signature_name=key)
    spec.version.value = servable.version
    return spec
