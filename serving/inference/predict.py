"""Runs Predict requests on a loaded version. Error messages are TensorFlow Serving's."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from numpy.typing import NDArray
from tensorflow_serving.apis import model_pb2, predict_pb2

from serving.errors import Code, ServingError, invalid_argument
from serving.models.servable import LoadedModel, Signature
from serving.tensor_protos import TensorProto, dtype_name, encoding_of, to_array, to_proto

DEFAULT_SIGNATURE = "serving_default"
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress"))
CountExamples: TypeAlias = Callable[[int], None]
NO_ARRAYS: Mapping[str, NDArray[Any]] = MappingProxyType({})


def ignore_count(_examples: int) -> None:
    """Does nothing, for callers that do not count examples."""


def predict(
    servable: LoadedModel,
    request: predict_pb2.PredictRequest,
    check_method: bool = False,
    count: CountExamples = ignore_count,
) -> predict_pb2.PredictResponse:
    """Runs a Predict request.

    Args:
        servable: The version.
        request: The request.
        check_method: Whether to check the signature's method name.
        count: Called with the number of examples in the request, once its inputs are parsed.

    Raises:
        ServingError: The request does not fit the signature, or TensorFlow fails to run it.
    """
    key, outputs = run_request(servable, request, check_method, count)
    response = predict_pb2.PredictResponse(model_spec=response_spec(servable, key))
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(to_proto(value, servable.signatures[key].outputs[name].dtype))
    return response


def run_request(
    servable: LoadedModel,
    request: predict_pb2.PredictRequest,
    check_method: bool,
    count: CountExamples,
    arrays: Mapping[str, NDArray[Any]] = NO_ARRAYS,
) -> tuple[str, dict[str, NDArray[Any]]]:
    """Runs a Predict request on the inputs of the request and on those that are arrays already.

    Args:
        servable: The version.
        request: The request. Inputs in ``arrays`` need no values in it.
        check_method: See :func:`predict`.
        count: See :func:`predict`.
        arrays: Arrays by input.

    Returns:
        The key of the signature, and the outputs by name.

    Raises:
        ServingError: See :func:`predict`.
    """
    key = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(key)
    if signature is None:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
    if check_method and signature.method_name not in (PREDICT, CLASSIFY, REGRESS):
        raise invalid_argument(
            f"Expected prediction signature method_name to be one of {{{PREDICT}, {CLASSIFY}, {REGRESS}}}. "
            f"Was: {signature.method_name}"
        )
    inputs = _input_arrays(signature, request.inputs, arrays)
    count(batch_size(inputs))
    names = _output_names(signature, list(request.output_filter))
    return key, servable.run(key, inputs, names)


def batch_size(inputs: Mapping[str, NDArray[Any]]) -> int:
    """Returns the first dimension of the first input, or 1 if there is none.

    >>> import numpy as np
    >>> batch_size({"x": np.zeros([3, 2])}), batch_size({"x": np.array(1.0)}), batch_size({})
    (3, 1, 1)
    """
    shape = next(iter(inputs.values())).shape if inputs else ()
    return shape[0] if shape else 1


def to_messages(
    servable: LoadedModel, key: str, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]
) -> tuple[predict_pb2.PredictRequest, predict_pb2.PredictResponse]:
    """Returns the request and response messages for inputs and outputs given as arrays."""
    signature, spec = servable.signatures[key], response_spec(servable, key)
    request, response = predict_pb2.PredictRequest(model_spec=spec), predict_pb2.PredictResponse(model_spec=spec)
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array, signature.inputs[name].dtype))
    for name, array in outputs.items():
        response.outputs[name].CopyFrom(to_proto(array, signature.outputs[name].dtype))
    return request, response


def response_spec(servable: LoadedModel, key: str) -> model_pb2.ModelSpec:
    """Returns the model spec of a response: model, version and signature."""
    spec = model_pb2.ModelSpec(name=servable.name, signature_name=key)
    spec.version.value = servable.version
    return spec


def _input_arrays(
    signature: Signature, tensors: Mapping[str, TensorProto], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    missing = sorted(name for name in signature.inputs if name not in tensors and name not in signature.defaults)
    extra = sorted(name for name in tensors if name not in signature.inputs)
    if missing or extra:
        raise invalid_argument(
            f"input size does not match signature: {len(tensors)}!={len(signature.inputs)} "
            f"len({{{','.join(sorted(tensors))}}})!=len({{{','.join(sorted(signature.inputs))}}}). "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )
    inputs = {}
    for name, info in signature.inputs.items():
        proto = tensors[name] if name in tensors else signature.defaults[name]
        expected = encoding_of(info.dtype).number
        if proto.dtype != expected:
            raise invalid_argument(f"input {name} has dtype {dtype_name(proto.dtype)}; expected {dtype_name(expected)}")
        inputs[name] = arrays[name] if name in arrays else to_array(proto)
    return inputs


def _output_names(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    for name in output_filter:
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )
    if len(set(output_filter)) != len(output_filter):
        duplicate = next(name for name in output_filter if output_filter.count(name) > 1)
        raise invalid_argument(f"duplicate output tensor alias: {duplicate}")
    return list(output_filter) or sorted(signature.outputs)
