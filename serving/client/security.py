"""How a client proves who it is, and checks who the server is."""

import dataclasses
import ssl
from pathlib import Path

import grpc

from common.small_files import read_small_text

MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Security:
    """Encryption and identity of a client. The default is a connection without encryption.

    Attributes:
        tls: Whether to use TLS.
        ca_file: PEM file with the certificates that sign the server's, instead of the system's.
        cert_file: PEM file with the client's certificate, for mutual TLS.
        key_file: PEM file with its private key.
        token: A bearer token, or an empty string.
    """

    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("found only one of the client's certificate and key; expected both or neither")
        if (self.ca_file or self.cert_file) and not self.tls:
            raise ValueError("found certificates without TLS; expected tls=True")
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ValueError("the token has characters that a header cannot have; expected printable ASCII, no spaces")

    @property
    def authorization(self) -> dict[str, str]:
        """The headers or metadata with the token, if there is one."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Returns the certificates in the form that gRPC needs.

        Raises:
            ValueError: A file cannot be used.
        """
        self.ssl_context()  # gRPC accepts any content, and fails at each call
        ca, key, cert = (_read(file) if file else None for file in (self.ca_file, self.key_file, self.cert_file))
        return grpc.ssl_channel_credentials(ca, key, cert)

    def ssl_context(self) -> ssl.SSLContext:
        """Returns the certificates in the form that Python's HTTP client needs.

        Raises:
            ValueError: A file cannot be used.
        """
        try:
            context = ssl.create_default_context(cadata=_read(self.ca_file).decode() if self.ca_file else None)
        except ssl.SSLError as error:
            raise ValueError(f"{self.ca_file}: {error}; expected PEM certificates") from error
        if self.cert_file and self.key_file:
            _read(self.cert_file)  # its error names the file
            _read(self.key_file)
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
            except (OSError, ValueError) as error:
                text = "expected a PEM certificate and its private key, not encrypted"
                raise ValueError(f"{self.cert_file} and {self.key_file}: {error}; {text}") from error
        return context


def read_token(file: Path) -> str:
    """Reads a token from the first line of a file.

    Raises:
        ValueError: The file cannot be read, or is empty.
    """
    lines = [line.strip() for line in _read(file).decode().splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{file}: found no token; expected one in the first line")
    return lines[0]


def _read(file: Path) -> bytes:
    try:
        return read_small_text(file, MAX_BYTES).encode()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; expected a file that can be read") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not a text file; expected a PEM file or a token") from error
