"""A small client of TensorFlow Serving's API, over gRPC or REST.

python -m serving.client predict --model taxi --rows file.jsonl
"""

import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
from serving.tensor_protos import to_array

Row = Mapping[str, Any]
RAW = "serve_raw"
MESSAGE_BYTES = (1 << 31) - 1
MISSING: dict[str, Any] = {"DT_FLOAT": float("nan"), "DT_INT64": -(2**63), "DT_STRING": ""}
NUMPY: dict[str, Any] = {"DT_FLOAT": np.float32, "DT_INT64": np.int64, "DT_STRING": object}


class Transport(Protocol):
    """One of the two protocols."""

    def dtypes(self, spec: model_pb2.ModelSpec, signature: str) -> dict[str, str]:
        """Names of the dtypes of a signature's inputs, by input."""

    def run(
        self, spec: model_pb2.ModelSpec, signature: str, columns: Mapping[str, tuple[str, list[Any]]]
    ) -> dict[str, Any]:
        """The outputs of a signature over columns: by name, the dtype and the values."""

    def status(self, name: str) -> dict[int, str]:
        """State by version."""


class Client:
    """Asks a model server.

    Example:
        ``Client.grpc("localhost:8500").predict("taxi", [{"fare": 12.5}])``
    """

    def __init__(self, transport: Transport) -> None:
        """Takes what speaks the protocol; see :meth:`grpc` and :meth:`rest`."""
        self._transport = transport

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
            For each row the outputs by name.

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
        outputs = self._transport.run(spec, signature, _columns(rows, self._transport.dtypes(spec, signature)))
        return [{name: values[place] for name, values in outputs.items()} for place in range(len(rows))]

    def status(self, model: str) -> dict[int, str]:
        """State by version of a model.

        Raises:
            ServingError: There is no such model.
        """
        return self._transport.status(model)


def _columns(rows: Sequence[Row], dtypes: Mapping[str, str]) -> dict[str, tuple[str, list[Any]]]:
    for place, row in enumerate(rows):
        for name in row:
            if name not in dtypes:
                raise invalid(f"row {place}: unknown feature {name!r}; expected some of {', '.join(sorted(dtypes))}")
    columns = {}
    for name, dtype in dtypes.items():
        if dtype not in MISSING:
            raise invalid(f"feature '{name}': found the dtype {dtype}; expected one of {', '.join(MISSING)}")
        columns[name] = dtype, [MISSING[dtype] if row.get(name) is None else row[name] for row in rows]
    return columns


class _Grpc:
    def __init__(self, address: str, seconds: float) -> None:
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        channel = grpc.insecure_channel(address, options)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)
        self._seconds = seconds

    def dtypes(self, spec: model_pb2.ModelSpec, signature: str) -> dict[str, str]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        response = self._ask(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        found = _signature(signatures.signature_def, signature)
        return {name: f"DT_{_name(info.dtype)}" for name, info in found.inputs.items()}

    def run(
        self, spec: model_pb2.ModelSpec, signature: str, columns: Mapping[str, tuple[str, list[Any]]]
    ) -> dict[str, Any]:
        request = predict_pb2.PredictRequest(model_spec=spec)
        request.model_spec.signature_name = signature
        for name, (dtype, values) in columns.items():
            try:
                array = np.array(values, NUMPY[dtype])[:, np.newaxis]
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            except (TypeError, ValueError, OverflowError) as error:
                raise invalid(f"feature '{name}': {error}; expected values of {dtype}") from error
        outputs = self._ask(self._prediction.Predict, request).outputs
        return {name: _plain(to_array(tensor).tolist()) for name, tensor in sorted(outputs.items())}

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

    def dtypes(self, spec: model_pb2.ModelSpec, signature: str) -> dict[str, str]:
        answer = self._ask("GET", f"{_path(spec)}/metadata")
        found = _signature(answer["metadata"]["signature_def"]["signature_def"], signature)
        return {name: info["dtype"] for name, info in found["inputs"].items()}

    def run(
        self, spec: model_pb2.ModelSpec, signature: str, columns: Mapping[str, tuple[str, list[Any]]]
    ) -> dict[str, Any]:
        inputs = {name: [[value] for value in values] for name, (_, values) in columns.items()}
        body = json.dumps({"signature_name": signature, "inputs": inputs}, ensure_ascii=False).encode()
        outputs = self._ask("POST", f"{_path(spec)}:predict", body)["outputs"]
        return outputs if isinstance(outputs, dict) else {"outputs": outputs}

    def status(self, name: str) -> dict[int, str]:
        found = self._ask("GET", f"/v1/models/{name}")["model_version_status"]
        return {int(each["version"]): each["state"] for each in found}

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            self._connection.request(method, path, body)
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise ServingError(Code.UNAVAILABLE, f"{self._connection.host}:{self._connection.port}: {error}") from error
        if response.status != http.HTTPStatus.OK:
            raise ServingError(Code.UNKNOWN, answer.get("error", f"HTTP status {response.status}"))
        return answer


def _signature(signatures: Mapping[str, Any], name: str) -> Any:
    if name not in signatures:
        raise invalid(f"the model has no signature '{name}'; expected one of {', '.join(sorted(signatures))}")
    return signatures[name]


def _path(spec: model_pb2.ModelSpec) -> str:
    choice = spec.WhichOneof("version_choice")
    part = {"version": f"/versions/{spec.version.value}", "version_label": f"/labels/{spec.version_label}"}
    return f"/v1/models/{spec.name}{part.get(choice, '')}"


def _name(dtype: int) -> str:
    name: str = tf.dtypes.as_dtype(dtype).name.upper()
    return {"FLOAT32": "FLOAT", "FLOAT64": "DOUBLE"}.get(name, name)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


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
    client = make(address or ("localhost:8501" if protocol == "rest" else "localhost:8500"))
    try:
        for answer in client.predict(model, list(_parsed(rows)), version, label):
            click.echo(json.dumps(answer, ensure_ascii=False))
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
            except ValueError as error:
                raise ValueError(f"line {number}: {error}; expected a JSON object") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: found {type(row).__name__}; expected a JSON object")
            yield row


if __name__ == "__main__":
    cli()
