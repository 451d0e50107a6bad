"""A small client of TensorFlow Serving's API, over gRPC or REST.

python -m serving.client predict --model taxi --rows file.jsonl
"""

import json
import sys
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import click
from tensorflow_serving.apis import model_pb2

from serving.client.transports import Grpc, Rest, Transport, json_text
from serving.errors import ServingError, invalid
from serving.rest_json.predict import BYTES_SUFFIX
from serving.rest_json.values import from_base64

Row = Mapping[str, Any]
RAW = "serve_raw"
MISSING: dict[str, Any] = {"DT_FLOAT": float("nan"), "DT_INT64": -(2**63), "DT_STRING": ""}
INT64 = (-(2**63), 2**63 - 1)


class Client:
    """Asks a model server; ``with`` ends the connection.

    Example:
        ``Client.grpc("localhost:8500").predict("taxi", [{"fare": 12.5}])``
    """

    def __init__(self, transport: Transport) -> None:
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
        return cls(Grpc(address, seconds))

    @classmethod
    def rest(cls, address: str, seconds: float = 30.0) -> "Client":
        """A client over REST; each request may take as many seconds."""
        return cls(Rest(address, seconds))

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
        columns[name] = [
            _value(row.get(name), dtype, f"row {place}, feature '{name}'") for place, row in enumerate(rows)
        ]
    return columns


def _value(value: Any, dtype: str, where: str) -> Any:
    if value is None:
        return MISSING[dtype]
    try:
        if dtype == "DT_STRING" and isinstance(value, str | bytes):
            return value.encode().decode() if isinstance(value, str) else value  # half a character cannot be sent
        if dtype == "DT_FLOAT" and isinstance(value, Real) and not isinstance(value, bool):
            return float(value)
        if dtype == "DT_INT64" and isinstance(value, Integral) and not isinstance(value, bool):
            whole = int(value)
            if INT64[0] <= whole <= INT64[1]:
                return whole
    except (OverflowError, UnicodeEncodeError):
        pass
    raise invalid(f"{where}: found {value!r}; expected a value of {dtype}")


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    if isinstance(value, dict):
        value = from_base64(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) and not name.endswith(BYTES_SUFFIX) else value


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
                click.echo(json_text(answer))
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
