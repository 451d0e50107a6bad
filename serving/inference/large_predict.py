"""Predict requests and responses with large tensors, whose numbers are never copied into a message.

Such a copy keeps Python's interpreter lock, and takes a millisecond or more per megabyte.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2

from serving.inference.predict import CountExamples, ignore_count, response_spec, run_request
from serving.inference.request_log import PredictionLog, predict_record
from serving.large_messages import KEY, SLICE_BYTES, VALUE, field_head, fields, length_delimited, merge, parse
from serving.models.servable import LoadedModel
from serving.tensor_protos import CONTENT, Buffer, TensorProto, encoding_of, serialized_parts, to_proto

Response: TypeAlias = predict_pb2.PredictResponse | bytes
INPUTS = predict_pb2.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number
OUTPUTS = predict_pb2.PredictResponse.DESCRIPTOR.fields_by_name["outputs"].number
ALIGNMENT = 64  # in bytes; TensorFlow copies arrays with a smaller one
MAX_FIELDS = 16  # of a tensor whose values are in a single field
DESCRIPTIONS = {"dtype", "tensor_shape", "version_number"}  # fields without values


@dataclasses.dataclass(frozen=True)
class LargeRequest:
    """A Predict request with large tensors.

    Attributes:
        request: The request, in which the large tensors have no values.
        arrays: The large tensors by input.
        serialized: The complete request.
    """

    request: predict_pb2.PredictRequest
    arrays: Mapping[str, NDArray[Any]]
    serialized: bytes

    @property
    def model_spec(self) -> model_pb2.ModelSpec:
        """The model spec of the request."""
        return self.request.model_spec

    def HasField(self, name: str) -> bool:
        """Returns whether the request has a field."""
        return bool(self.request.HasField(name))


def parse_request(serialized: bytes) -> predict_pb2.PredictRequest | LargeRequest:
    """Parses a Predict request. Other threads run in between if it is large.

    Raises:
        DecodeError: The bytes are not such a message.
    """
    if len(serialized) > SLICE_BYTES:
        try:
            request = _large_request(serialized)
        except (ValueError, IndexError, RecursionError):  # parsed completely, for the same result in every case
            request = None
        if request:
            return request
    return parse(predict_pb2.PredictRequest, serialized)


def predict(
    servable: LoadedModel,
    request: predict_pb2.PredictRequest | LargeRequest,
    check_method: bool = False,
    count: CountExamples = ignore_count,
    as_content: bool = False,
) -> Response:
    """Runs a Predict request. Arguments and errors are those of :func:`serving.inference.predict.predict`.

    Args:
        servable: See there.
        request: See there.
        check_method: See there.
        count: See there.
        as_content: Whether to respond in ``tensor_content`` instead of typed fields.

    Returns:
        The response, which is serialized if it is large.
    """
    if isinstance(request, LargeRequest):
        key, outputs = run_request(servable, request.request, check_method, count, request.arrays)
    else:
        key, outputs = run_request(servable, request, check_method, count)
    response = predict_pb2.PredictResponse(model_spec=response_spec(servable, key))
    infos = servable.signatures[key].outputs
    if sum(array.nbytes for array in outputs.values()) <= SLICE_BYTES:
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(to_proto(array, infos[name].dtype, as_content))
        return response
    parts: list[Buffer] = []
    for name, array in outputs.items():
        tensor = serialized_parts(array, infos[name].dtype, as_content)
        size = sum(map(len, tensor))
        head = length_delimited(KEY, name.encode()) + field_head(VALUE, size)
        parts += [field_head(OUTPUTS, len(head) + size), head, *tensor]
    return b"".join([*parts, response.SerializeToString()])


def record(request: predict_pb2.PredictRequest | LargeRequest, response: Response) -> PredictionLog:
    """Returns the log record of a request and its response."""
    return predict_record(
        parse(predict_pb2.PredictRequest, request.serialized) if isinstance(request, LargeRequest) else request,
        parse(predict_pb2.PredictResponse, response) if isinstance(response, bytes) else response,
    )


def _large_request(serialized: bytes) -> LargeRequest | None:
    """Parses a request whose large tensors are valid and have their values in a single field.

    Returns:
        The request, or ``None`` if it has no such tensors.
    """
    data, start = memoryview(serialized), 0
    rest: list[memoryview] = []
    tensors: dict[str, tuple[TensorProto, NDArray[Any]]] = {}
    for field in fields(data):
        if field.number == INPUTS and field.content >= 0 and field.end - field.start > SLICE_BYTES:
            found = _large_tensor(data[field.content : field.end])
            if found is None or found[0] in tensors:
                return None
            tensors[found[0]] = found[1:]
            rest.append(data[start : field.start])
            start = field.end
    request = predict_pb2.PredictRequest()
    for part in (*rest, data[start:]):
        merge(request, part)
    if not tensors or any(name in request.inputs for name in tensors):
        return None
    for name, (proto, _) in tensors.items():
        request.inputs[name].CopyFrom(proto)
    return LargeRequest(request, {name: array for name, (_, array) in tensors.items()}, serialized)


def _large_tensor(entry: memoryview) -> tuple[str, TensorProto, NDArray[Any]] | None:
    """Returns the name of an input, its tensor without values, and its array. See :func:`_large_request`."""
    found = list(itertools.islice(fields(entry), 3))
    if [field.number for field in found if field.content >= 0] != [KEY, VALUE] or len(found) != 2:
        return None
    key, value = found
    tensor = entry[value.content : value.end]
    parts = list(itertools.islice(fields(tensor), MAX_FIELDS + 1))
    large = max(parts, key=lambda part: part.end - part.start, default=None)
    if not large or large.content < 0 or len(parts) > MAX_FIELDS:
        return None
    proto = TensorProto.FromString(bytes(tensor[: large.start]) + bytes(tensor[large.end :]))
    content = tensor[large.content : large.end]
    if not _has_values(proto, large.number, len(content)):
        return None
    return str(entry[key.content : key.end], "utf-8"), proto, _aligned_array(proto, content)


def _has_values(proto: TensorProto, number: int, size: int) -> bool:
    """Returns whether a field has exactly the values of a tensor, as they are in memory.

    Args:
        proto: The tensor without the field.
        number: Number of the field.
        size: Size of its content in bytes.
    """
    if {field.name for field, _ in proto.ListFields()} - DESCRIPTIONS or proto.dtype not in types_pb2.DataType.values():
        return False
    try:
        encoding = encoding_of(proto.dtype)
    except TypeError:
        return False
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    if not encoding.field or min(sizes, default=0) < 0 or math.prod(sizes) * encoding.dtype.itemsize != size:
        return False
    if number == CONTENT:
        return encoding.number != types_pb2.DT_STRING
    is_typed = number == TensorProto.DESCRIPTOR.fields_by_name[encoding.field].number
    return is_typed and encoding.is_raw and encoding.number != types_pb2.DT_BOOL  # true can be any number


def _aligned_array(proto: TensorProto, content: memoryview) -> NDArray[Any]:
    """Copies values into an array that TensorFlow need not copy. Numpy copies them without Python's lock."""
    buffer = np.empty(len(content) + ALIGNMENT, np.uint8)
    start = -buffer.__array_interface__["data"][0] % ALIGNMENT
    values = buffer[start : start + len(content)]
    values[:] = np.frombuffer(content, np.uint8)
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    return values.view(encoding_of(proto.dtype).dtype).reshape(shape)
