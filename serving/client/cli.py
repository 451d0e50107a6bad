"""A small client for TensorFlow Serving's API, over gRPC or REST, and its command line.

python -m serving.client predict --model taxi --rows file.jsonl
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NoReturn, Self

import click
from tensorflow_serving.apis import model_pb2

from common.terminal import printable, printable_json
from serving.client.security import Security, read_token
from serving.client.transports import Grpc, Rest, Signature, Transport, to_json
from serving.errors import ServingError, invalid_argument
from serving.flags import TOKEN_VARIABLE
from serving.rest_json.predict import BYTES_SUFFIX
from serving.rest_json.values import from_base64

Row = Mapping[str, Any]
RAW = "serve_raw"
MISSING: dict[str, Any] = {"DT_FLOAT": float("nan"), "DT_INT64": -(2**63), "DT_STRING": ""}
INT64 = (-(2**63), 2**63 - 1)
PLAIN = Security()


class Client:
    """A client of a model server. Use it in a ``with`` statement to close the connection.

    Example:
        ``Client.grpc("localhost:8500").predict("taxi", [{"fare": 12.5}])``
    """

    def __init__(self, transport: Transport) -> None:
        """Creates a client on top of a transport. See also :meth:`grpc` and :meth:`rest`."""
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    @classmethod
    def grpc(cls, address: str, timeout_seconds: float = 30.0, security: Security = PLAIN) -> "Client":
        """Creates a gRPC client, with a timeout per request.

        Raises:
            ValueError: A file of ``security`` cannot be used.
        """
        return cls(Grpc(address, timeout_seconds, security))

    @classmethod
    def rest(cls, address: str, timeout_seconds: float = 30.0, security: Security = PLAIN) -> "Client":
        """Creates a REST client, with a timeout per request.

        Raises:
            ValueError: A file of ``security`` cannot be used.
        """
        return cls(Rest(address, timeout_seconds, security))

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
            model: Name of the model.
            rows: For each row, the values by feature, and for a feature of lists a list of any length. An absent
                feature or ``None`` is a missing value.
            version: The version to use instead of the newest one.
            label: The label of the version to use.
            signature: A signature with one input per feature.

        Returns:
            For each row, the outputs by name. Strings are ``str``, or ``bytes`` if the name ends with ``_bytes``.

        Raises:
            ServingError: The rows do not fit the model, or the server returns an error.
        """
        if not rows:
            return []
        spec = model_pb2.ModelSpec(name=model)
        if version is not None:
            spec.version.value = version
        if label is not None:
            spec.version_label = label
        resolved = self._transport.signature(spec, signature)
        outputs = self._transport.run(spec, resolved, _columns(rows, resolved))
        return [{name: _decode(name, outputs[name][index]) for name in resolved.outputs} for index in range(len(rows))]

    def status(self, model: str) -> dict[int, str]:
        """Returns the state of each version of a model.

        Raises:
            ServingError: There is no such model.
        """
        return self._transport.status(model)


def _columns(rows: Sequence[Row], signature: Signature) -> dict[str, list[list[Any]]]:
    """The values of each row, by feature. Lists are filled up with the missing value to the length of the longest."""
    dtypes = signature.dtypes
    for index, row in enumerate(rows):
        for name in row:
            if name not in dtypes:
                known = ", ".join(sorted(dtypes))
                raise invalid_argument(f"row {index}: unknown feature {name!r}; expected one of {known}")
    columns = {}
    for name, dtype in dtypes.items():
        if dtype not in MISSING:
            raise invalid_argument(f"feature '{name}': found the dtype {dtype}; expected one of {', '.join(MISSING)}")
        lists = [_values(row.get(name), name in signature.lists) for row in rows]
        length = max(1, *map(len, lists))
        columns[name] = [
            [_encode(value, dtype, f"row {index}, feature '{name}'") for value in values]
            + [MISSING[dtype]] * (length - len(values))
            for index, values in enumerate(lists)
        ]
    return columns


def _values(value: Any, is_list: bool) -> Sequence[Any]:
    """The values of a feature of lists, which may also have one value or none, or the only value of another one."""
    if not is_list:
        return [value]
    if value is None:
        return []
    return value if isinstance(value, list | tuple) else [value]


def _encode(value: Any, dtype: str, location: str) -> Any:
    if value is None:
        return MISSING[dtype]
    try:
        if dtype == "DT_STRING" and isinstance(value, str | bytes):
            return value.encode().decode() if isinstance(value, str) else value  # raises for a lone surrogate
        if dtype == "DT_FLOAT" and isinstance(value, Real) and not isinstance(value, bool):
            return float(value)
        if dtype == "DT_INT64" and isinstance(value, Integral) and not isinstance(value, bool):
            integer = int(value)
            if INT64[0] <= integer <= INT64[1]:
                return integer
    except (OverflowError, UnicodeEncodeError):
        pass
    raise invalid_argument(f"{location}: found {value!r}; expected a value of {dtype}")


def _decode(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(name, each) for each in value]
    if isinstance(value, dict):
        value = from_base64(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) and not name.endswith(BYTES_SUFFIX) else value


@click.group()
def cli() -> None:
    """Send requests to a model server."""


FILE = click.Path(dir_okay=False, path_type=Path)


@cli.command()
@click.option("--model", required=True, help="Name of the model.")
@click.option(
    "--rows", type=click.File(encoding="utf-8"), required=True, help="File with one JSON object per line; - for stdin."
)
@click.option("--address", default=None, help="HOST:PORT  [default: localhost:8500, or localhost:8501 for REST]")
@click.option("--protocol", type=click.Choice(["grpc", "rest"]), default="grpc", show_default=True)
@click.option("--version", type=int, default=None, help="Version to use instead of the newest one.")
@click.option("--label", default=None, help="Label of the version to use.")
@click.option("--tls", is_flag=True, help="Encrypt the connection. The files below turn it on, too.")
@click.option("--ca-file", type=FILE, help="PEM file with the certificates that sign the server's.")
@click.option("--cert-file", type=FILE, help="PEM file with the client's certificate, for mutual TLS.")
@click.option("--key-file", type=FILE, help="PEM file with the private key of --cert-file.")
@click.option("--token-file", type=FILE, help=f"File with a bearer token, instead of the variable {TOKEN_VARIABLE}.")
def predict(
    rows: Any, address: str | None, protocol: str, model: str, version: int | None, label: str | None, **files: Any
) -> None:
    """Print the predictions for raw rows, as one JSON object per line."""
    connect = Client.rest if protocol == "rest" else Client.grpc
    default = "localhost:8501" if protocol == "rest" else "localhost:8500"
    try:
        client = connect(address or default, security=_security(**files))
    except ServingError as error:
        _fail(error.message, 1)
    except ValueError as error:
        _fail(str(error), 2)
    try:
        with client:
            for outputs in client.predict(model, list(_parse(rows)), version, label):
                click.echo(printable_json(to_json(outputs)))
    except ServingError as error:
        _fail(error.message, 1)
    except ValueError as error:
        _fail(f"--rows: {error}", 2)


def _security(
    tls: bool, ca_file: Path | None, cert_file: Path | None, key_file: Path | None, token_file: Path | None
) -> Security:
    token = read_token(token_file) if token_file else os.environ.get(TOKEN_VARIABLE, "")
    return Security(tls or bool(ca_file or cert_file or key_file), ca_file, cert_file, key_file, token)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(printable(f"error: {message}"), err=True)
    sys.exit(code)


def _parse(lines: Any) -> Any:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: {error}; expected a JSON object") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: found {type(row).__name__}; expected a JSON object")
            yield row
