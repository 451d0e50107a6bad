"""A small client of TensorFlow Serving's API, over gRPC or REST.

python -m serving.client predict --model taxi --rows file.jsonl
"""

import base64
import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import click
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
from serving.json_predict import BYTES_SUFFIX
from serving.json_values import BASE64, from_base64
from serving.tensor_protos import dtype_name, to_array

Row = Mapping[str, Any]
RAW = "serve_raw"
MESSAGE_BYTES = (1 << 31) - 1
MISSING: dict[str, Any] = {"DT_FLOAT": float("nan"), "DT_INT64": -(2**63), "DT_STRING": ""}
NUMPY: dict[str, Any] = {"DT_FLOAT": np.float32, "DT_INT64": np.int64, "DT_STRING": object}


class Signature(NamedTuple):
    """What a signature takes, names of dtypes by input, and the names of what it gives, sorted."""

    key: str
    dtypes: dict[str, str]
    outputs: list[str]


class Client:
    """Asks a model server; ``with`` ends the connection.

    Example:
        ``Client.grpc("localhost:8500").predict("taxi", [{"fare": 12.5}])``
    """

    def __init__(self, transport: "_Grpc | _Rest") -> None:
        """Takes what speaks the protocol; see :meth:`grpc` and :meth:`rest`."""
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    @classmethod
    def grpc(cls, address: str, seconds: float = 30.0) -> "Client":
        """A client over gRPC; each request may take as many seconds."""
        return cls(_Grpc(address, seconds))

    @classmethod
    def rest(cls, address: str, seconds: float = 30.0) -> "Client":
        """A client over REST; each request may take as many seconds."""
        return cls(_Rest(address, seconds))

    def predict(
        self,
        model: str,
        rows: Sequence[Row],
        version: int | None = None,
        label: str | None = None,
        signature: str = RAW,
    ) -> list[dict[str, Any]]:
        """Predicts for raw rows.

        Args:
            model: The model.
            rows: Values by feature; an absent feature, or ``None``, is a missing value.
            version: Another version than the newest.
            label: A label that stands for a version.
            signature: One that takes a column a feature.

        Returns:
            For each row the outputs by name; strings are text, or bytes if the name ends in ``_bytes``.

        Raises:
            ServingError: The rows do not fit the model, or the server refuses them.
        """
        if not rows:
            return []
        spec = model_pb2.ModelSpec(name=model)
        if version is not None:
            spec.version.value = version
        if label is not None:
            spec.version_label = label
        found = self._transport.signature(spec, signature)
        outputs = self._transport.run(spec, found, _columns(rows, found.dtypes))
        return [{name: _plain(name, outputs[name][place]) for name in found.outputs} for place in range(len(rows))]

    def status(self, model: str) -> dict[int, str]:
        """State by version of a model.

        Raises:
            ServingError: There is no such model.
        """
        return self._transport.status(model)


def _columns(rows: Sequence[Row], dtypes: Mapping[str, str]) -> dict[str, list[Any]]:
    for place, row in enumerate(rows):
        for name in row:
            if name not in dtypes:
                raise invalid(f"row {place}: unknown feature {name!r}; expected some of {', '.join(sorted(dtypes))}")
    columns = {}
    for name, dtype in dtypes.items():
        if dtype not in MISSING:
            raise invalid(f"feature '{name}': found the dtype {dtype}; expected one of {', '.join(MISSING)}")
        columns[name] = [MISSING[dtype] if row.get(name) is None else row[name] for row in rows]
    return columns


class _Grpc:
    def __init__(self, address: str, seconds: float) -> None:
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        self._channel = grpc.insecure_channel(address, options)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._seconds = seconds
        self.close = self._channel.close

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        response = self._ask(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        found = _found(signatures.signature_def, key)
        dtypes = {name: dtype_name(info.dtype) for name, info in found.inputs.items()}
        return Signature(key, dtypes, sorted(found.outputs))

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        request = predict_pb2.PredictRequest(model_spec=spec)
        request.model_spec.signature_name = signature.key
        for name, values in columns.items():
            dtype = signature.dtypes[name]
            try:
                array = np.array(values, NUMPY[dtype])[:, np.newaxis]
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            except (TypeError, ValueError, OverflowError) as error:
                raise invalid(f"feature '{name}': {error}; expected values of {dtype}") from error
        outputs = self._ask(self._prediction.Predict, request).outputs
        return {name: to_array(tensor).tolist() for name, tensor in outputs.items()}

    def status(self, name: str) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=name))
        states = get_model_status_pb2.ModelVersionStatus.State
        found = self._ask(self._models.GetModelStatus, request).model_version_status
        return {each.version: states.Name(each.state) for each in found}

    def _ask(self, call: Any, request: Any) -> Any:
        try:
            return call(request, timeout=self._seconds)
        except grpc.RpcError as error:
            raise ServingError(error.code(), error.details()) from error


class _Rest:
    def __init__(self, address: str, seconds: float) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=seconds)
        self.close = self._connection.close

    def signature(self, spec: model_pb2.ModelSpec, key: str) -> Signature:
        answer = self._ask("GET", f"{_path(spec)}/metadata")
        found = _found(answer["metadata"]["signature_def"]["signature_def"], key)
        dtypes = {name: info["dtype"] for name, info in found["inputs"].items()}
        return Signature(key, dtypes, sorted(found["outputs"]))

    def run(self, spec: model_pb2.ModelSpec, signature: Signature, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        inputs = {name: [[value] for value in values] for name, values in columns.items()}
        body = _json({"signature_name": signature.key, "inputs": inputs}).encode()
        outputs = self._ask("POST", f"{_path(spec)}:predict", body)["outputs"]
        return {signature.outputs[0]: outputs} if len(signature.outputs) == 1 else outputs  # a single one has no name

    def status(self, name: str) -> dict[int, str]:
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


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    if isinstance(value, dict):
        value = from_base64(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) and not name.endswith(BYTES_SUFFIX) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_base64)


def _base64(value: Any) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise invalid(f"found {value!r}, a {type(value).__name__}; expected a value of JSON, or bytes")
    return {BASE64: base64.b64encode(value).decode()}


@click.group()
def cli() -> None:
    """Asks a model server."""


@cli.command()
@click.option("--model", required=True)
@click.option("--rows", type=click.File(encoding="utf-8"), required=True, help="a JSON object a line; - is stdin")
@click.option("--address", default=None, help="localhost:8500, or localhost:8501 with --protocol rest")
@click.option("--protocol", type=click.Choice(["grpc", "rest"]), default="grpc", show_default=True)
@click.option("--version", type=int, default=None, help="another version than the newest")
@click.option("--label", default=None, help="a label that stands for a version")
def predict(model: str, rows: Any, address: str | None, protocol: str, version: int | None, label: str | None) -> None:
    """Prints the outputs for each row, as a JSON object a line."""
    make = Client.rest if protocol == "rest" else Client.grpc
    try:
        with make(address or ("localhost:8501" if protocol == "rest" else "localhost:8500")) as client:
            for answer in client.predict(model, list(_parsed(rows)), version, label):
                click.echo(_json(answer))
    except ServingError as error:
        click.echo(f"error: {error.message}", err=True)
        sys.exit(1)
    except ValueError as error:
        click.echo(f"error: --rows: {error}", err=True)
        sys.exit(2)


def _parsed(lines: Any) -> Any:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: {error}; expected a JSON object") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: found {type(row).__name__}; expected a JSON object")
            yield row


if __name__ == "__main__":
    cli()
