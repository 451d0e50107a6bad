"""TLS and mutual TLS for both protocols, from an ``SSLConfig`` as in TensorFlow Serving."""

import dataclasses
import os
import ssl
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format

from common.small_files import read_small_text
from serving.flags import OptionError
from serving.text_protos import SSLConfig

PEM = "-----BEGIN "
MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Tls:
    """Certificates of the server, in the form that each protocol needs.

    Attributes:
        grpc: For gRPC.
        rest: For REST.
    """

    grpc: grpc.ServerCredentials
    rest: ssl.SSLContext


def read_tls(path: Path) -> Tls:
    """Reads a text file with an ``SSLConfig``.

    Its fields contain PEM texts, as in TensorFlow Serving, or paths of PEM files, relative to the folder of ``path``.

    Raises:
        OptionError: A file cannot be read, the key does not belong to the certificate, or clients are to be verified
            without ``custom_ca``.
    """
    config = _read_config(path)
    for field in ("server_key", "server_cert"):
        if not getattr(config, field):
            raise _mistake(path, f"found no {field}; expected a PEM text or the path of a PEM file")
    if config.client_verify and not config.custom_ca:
        raise _mistake(path, "found client_verify without custom_ca; expected the certificates that sign the clients'")
    key, certificate, authorities = (
        _pem(path, field, getattr(config, field)) for field in ("server_key", "server_cert", "custom_ca")
    )
    rest = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    rest.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        _load_certificate(rest, f"{certificate}\n{key}\n")
    except (OSError, ValueError) as error:
        text = f"server_cert and server_key: {error}; expected a certificate and its private key, not encrypted"
        raise _mistake(path, text) from error
    if config.client_verify:
        try:
            rest.load_verify_locations(cadata=authorities)
        except (OSError, ValueError) as error:
            raise _mistake(path, f"custom_ca: {error}; expected certificates") from error
        rest.verify_mode = ssl.CERT_REQUIRED
    credentials = grpc.ssl_server_credentials(
        [(key.encode(), certificate.encode())], authorities.encode() or None, config.client_verify
    )
    return Tls(credentials, rest)


def _read_config(path: Path) -> Any:
    try:
        return text_format.Parse(read_small_text(path, MAX_BYTES), SSLConfig())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise _mistake(path, f"{reason}; expected a text-format tensorflow.serving.SSLConfig") from error
    except text_format.ParseError as error:  # its message quotes the line, which may be the private key
        place = f"line {error.GetLine()}, column {error.GetColumn()}" if error.GetLine() else "a value"
        raise _mistake(path, f"{place}: expected a text-format tensorflow.serving.SSLConfig") from None


def _pem(path: Path, field: str, value: str) -> str:
    if not value or value.lstrip().startswith(PEM):
        return value
    if "\n" in value or len(value) > os.pathconf("/", "PC_PATH_MAX"):
        raise _mistake(
            path, f"{field}: expected a PEM text, which starts with {PEM.strip()}, or the path of a PEM file"
        )
    file = path.parent / value
    try:
        text = read_small_text(file, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise _mistake(path, f"{field}: {file}: {reason}; expected a PEM text or the path of a PEM file") from error
    if PEM not in text:
        raise _mistake(path, f"{field}: {file}: found no line that starts with {PEM.strip()}; expected a PEM file")
    return text


def _load_certificate(context: ssl.SSLContext, pem: str) -> None:
    """Loads a certificate and its key, without writing the key to a disk. Python's ssl module can only read files."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, pem.encode())
        # OpenSSL would ask for the password of an encrypted key on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    finally:
        os.close(descriptor)


def _mistake(path: Path, text: str) -> OptionError:
    return OptionError(f"--ssl_config_file: {path}: {text}")
