"""The two transports of the client: gRPC and REST."""

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

from common.loopback import is_loopback_address
from serving.client.security import Security
from serving.errors import Code, ServingError, invalid_argument
from serving.models.input_shapes import UNKNOWN
from serving.rest_json.values import BASE64
from serving.tensor_protos import MAX_MESSAGE_BYTES, dtype_name, to_array

NUMPY: dict[str, Any] = {"DT_FLOAT": np.float32, "DT_INT64": np.int64, "DT_STRING": object}


class Signature(NamedTuple):
    """A signature of a model.

    Attributes:
        key: Its key in the SavedModel.
        dtypes: Names of the inputs' dtypes, such as ``DT_FLOAT``, by input.
        outputs: Names of the outputs, sorted.
        lists: Names of the inputs that have any number of values per row.
    """

    key: str
    dtypes: dict[str, str]
    outputs: list[str]
    lists: frozenset[str] = frozenset()


class Transport(Protocol):
    """A protocol to talk to a model server. All methods raise :class:`serving.errors.ServingError`."""

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        """Returns a signature of a model."""

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Returns the outputs by name, as nested lists with one element per row.

        Args:
            spec: The model, and optionally the version or label.
            signature: The signature to run.
            columns: For each input, the values of each row. All rows of an input have the same number.
        """

    def status(self, name: str) -> dict[int, str]:
        """Returns the state of each version of a model."""

    def close(self) -> None:
        """Closes the connection."""


def to_json(value: Any) -> str:
    """Returns a value as JSON, with bytes as base64 objects."""
    return json.dumps(value, ensure_ascii=False, default=_base64)


class Grpc:
    """TensorFlow Serving's gRPC API."""

    def __init__(self, address: str, timeout_seconds: float, security: Security) -> None:
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ]
        if is_loopback_address(address):
            options.append(("grpc.enable_http_proxy", 0))
        if security.tls:
            self._channel = grpc.secure_channel(address, security.channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._metadata = tuple(security.authorization.items())
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._timeout_seconds = timeout_seconds
        self.close = self._channel.close

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        """Returns a signature, from GetModelMetadata."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        response = self._call(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        definition = _find(signatures.signature_def, key)
        dtypes = {name: dtype_name(info.dtype) for name, info in definition.inputs.items()}
        lists = _lists(
            {name: [each.size for each in info.tensor_shape.dim] for name, info in definition.inputs.items()}
        )
        return Signature(key, dtypes, sorted(definition.outputs), lists)

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Runs a signature with Predict."""
        request = predict_pb2.PredictRequest(model_spec=spec)
        request.model_spec.signature_name = signature.key
        for name, values in columns.items():
            with np.errstate(over="ignore"):  # values too large for a float32 become infinite, as over REST
                array = np.array(values, NUMPY[signature.dtypes[name]]).reshape(len(values), -1)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        outputs = self._call(self._prediction.Predict, request).outputs
        return {name: to_array(tensor).tolist() for name, tensor in outputs.items()}

    def status(self, name: str) -> dict[int, str]:
        """Returns the state of each version, from GetModelStatus."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=name))
        states = get_model_status_pb2.ModelVersionStatus.State
        versions = self._call(self._models.GetModelStatus, request).model_version_status
        return {each.version: states.Name(each.state) for each in versions}

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise ServingError(error.code(), error.details()) from error


class Rest:
    """TensorFlow Serving's REST API, over one connection that is kept alive."""

    def __init__(self, address: str, timeout_seconds: float, security: Security) -> None:
        self._headers = security.authorization
        try:
            if security.tls:
                context = security.ssl_context()
                self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                    address, timeout=timeout_seconds, context=context
                )
            else:
                self._connection = http.client.HTTPConnection(address, timeout=timeout_seconds)
        except http.client.InvalidURL as error:
            raise invalid_argument(f"found the address '{address}'; expected HOST:PORT") from error
        self.close = self._connection.close

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        """Returns a signature, from the model's metadata."""
        document = self._request("GET", f"{_path(spec)}/metadata")
        definition = _find(document["metadata"]["signature_def"]["signature_def"], key)
        dtypes = {name: info["dtype"] for name, info in definition["inputs"].items()}
        shapes = {name: info["tensor_shape"].get("dim", ()) for name, info in definition["inputs"].items()}
        lists = _lists({name: [int(each["size"]) for each in shape] for name, shape in shapes.items()})
        return Signature(key, dtypes, sorted(definition["outputs"]), lists)

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Runs a signature with ``:predict``, in columnar format."""
        body = to_json({"signature_name": signature.key, "inputs": columns}).encode()
        outputs = self._request("POST", f"{_path(spec)}:predict", body)["outputs"]
        return {signature.outputs[0]: outputs} if len(signature.outputs) == 1 else outputs  # a single one is unnamed

    def status(self, name: str) -> dict[int, str]:
        """Returns the state of each version, from the model's status."""
        versions = self._request("GET", _path(model_pb2.ModelSpec(name=name)))["model_version_status"]
        return {int(each["version"]): each["state"] for each in versions}

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            document = json.loads(response.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise ServingError(Code.UNAVAILABLE, f"{self._connection.host}:{self._connection.port}: {error}") from error
        if response.status != http.HTTPStatus.OK:
            raise ServingError(Code.UNKNOWN, document.get("error", f"HTTP status {response.status}"))
        return document


def _lists(shapes: Mapping[str, list[int]]) -> frozenset[str]:
    return frozenset(name for name, sizes in shapes.items() if sizes == [UNKNOWN, UNKNOWN])


def _find(signatures: Mapping[str, Any], key: str) -> Any:
    if key not in signatures:
        raise invalid_argument(f"the model has no signature '{key}'; expected one of {', '.join(sorted(signatures))}")
    return signatures[key]


def _path(spec: model_pb2.ModelSpec) -> str:
    choice = spec.WhichOneof("version_choice")
    part = {"version": f"/versions/{spec.version.value}", "version_label": f"/labels/{quote(spec.version_label, '')}"}
    return f"/v1/models/{quote(spec.name, '')}{part.get(choice, '')}"


def _base64(value: bytes) -> dict[str, str]:
    return {BASE64: base64.b64encode(value).decode()}
