"""What the client says and hears over gRPC and over REST."""

import base64
import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.errors import Code, ServingError, invalid
from serving.inference.tensor_protos import MESSAGE_BYTES, dtype_name, to_array
from serving.rest_json.values import BASE64

NUMPY: dict[str, Any] = {"DT_FLOAT": np.float32, "DT_INT64": np.int64, "DT_STRING": object}


class Signature(NamedTuple):
    """What a signature takes, names of dtypes by input, and the names of what it gives, sorted."""

    key: str
    dtypes: dict[str, str]
    outputs: list[str]


class Transport(Protocol):
    """What a protocol has to be able to do; all of it raises :class:`serving.errors.ServingError`."""

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        """A signature of a model."""

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """The outputs by name, nested lists of a value a row, for a column of values an input."""

    def status(self, name: str) -> dict[int, str]:
        """State by version of a model."""

    def close(self) -> None:
        """Ends the connection."""


def json_text(value: Any) -> str:
    """A value as JSON, bytes as base64 objects."""
    return json.dumps(value, ensure_ascii=False, default=_base64)


class Grpc:
    """The stubs of TensorFlow Serving's API."""

    def __init__(self, address: str, seconds: float) -> None:
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        self._channel = grpc.insecure_channel(address, options)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._seconds = seconds
        self.close = self._channel.close

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        """Asks for the model's metadata."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        response = self._ask(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        found = _found(signatures.signature_def, key)
        dtypes = {name: dtype_name(info.dtype) for name, info in found.inputs.items()}
        return Signature(key, dtypes, sorted(found.outputs))

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Sends tensors."""
        request = predict_pb2.PredictRequest(model_spec=spec)
        request.model_spec.signature_name = signature.key
        for name, values in columns.items():
            with np.errstate(over="ignore"):  # what is beyond a float32 is infinite, as it is over REST
                array = np.array(values, NUMPY[signature.dtypes[name]])[:, np.newaxis]
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        outputs = self._ask(self._prediction.Predict, request).outputs
        return {name: to_array(tensor).tolist() for name, tensor in outputs.items()}

    def status(self, name: str) -> dict[int, str]:
        """Asks ModelService."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=name))
        states = get_model_status_pb2.ModelVersionStatus.State
        found = self._ask(self._models.GetModelStatus, request).model_version_status
        return {each.version: states.Name(each.state) for each in found}

    def _ask(self, call: Any, request: Any) -> Any:
        try:
            return call(request, timeout=self._seconds)
        except grpc.RpcError as error:
            raise ServingError(error.code(), error.details()) from error


class Rest:
    """JSON over a connection that is kept."""

    def __init__(self, address: str, seconds: float) -> None:
        try:
            self._connection = http.client.HTTPConnection(address, timeout=seconds)
        except http.client.InvalidURL as error:
            raise invalid(f"found the address '{address}'; expected HOST:PORT") from error
        self.close = self._connection.close

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        """Asks for the model's metadata."""
        answer = self._ask("GET", f"{_path(spec)}/metadata")
        found = _found(answer["metadata"]["signature_def"]["signature_def"], key)
        dtypes = {name: info["dtype"] for name, info in found["inputs"].items()}
        return Signature(key, dtypes, sorted(found["outputs"]))

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Sends columns."""
        inputs = {name: [[value] for value in values] for name, values in columns.items()}
        body = json_text({"signature_name": signature.key, "inputs": inputs}).encode()
        outputs = self._ask("POST", f"{_path(spec)}:predict", body)["outputs"]
        return {signature.outputs[0]: outputs} if len(signature.outputs) == 1 else outputs  # a single one has no name

    def status(self, name: str) -> dict[int, str]:
        """Asks for the model's own path."""
        found = self._ask("GET", _path(model_pb2.ModelSpec(name=name)))["model_version_status"]
        return {int(each["version"]): each["state"] for each in found}

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            self._connection.request(method, path, body)
            response = self._connection.getresponse()
            answer = json.loads(response.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise ServingError(Code.UNAVAILABLE, f"{self._connection.host}:{self._connection.port}: {error}") from error
        if response.status != http.HTTPStatus.OK:
            raise ServingError(Code.UNKNOWN, answer.get("error", f"HTTP status {response.status}"))
        return answer


def _found(signatures: Mapping[str, Any], name: str) -> Any:
    if name not in signatures:
        raise invalid(f"the model has no signature '{name}'; expected one of {', '.join(sorted(signatures))}")
    return signatures[name]


def _path(spec: model_pb2.ModelSpec) -> str:
    choice = spec.WhichOneof("version_choice")
    part = {"version": f"/versions/{spec.version.value}", "version_label": f"/labels/{quote(spec.version_label, '')}"}
    return f"/v1/models/{quote(spec.name, '')}{part.get(choice, '')}"


def _base64(value: bytes) -> dict[str, str]:
    return {BASE64: base64.b64encode(value).decode()}
