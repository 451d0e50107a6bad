"""Location of ML Metadata's store: a file in the output folder, or a database on a server."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Literal, TypeAlias

from lineage.errors import LineageError

SQLITE_FILE = "metadata.db"
SERVER_FILE = "metadata.json"
KINDS = ("mysql", "postgresql")
PASSWORD_VARIABLE = "ONEGRAPH_METADATA_PASSWORD"  # noqa: S105 - the variable's name


@dataclasses.dataclass(frozen=True)
class Sqlite:
    """An SQLite file.

    Attributes:
        path: The file.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A database on a server. The password is only in the environment.

    Attributes:
        kind: ``mysql`` (also for MariaDB) or ``postgresql``.
        host: Name or address of the server.
        port: TCP port.
        database: Name of the database, which must exist.
        user: Name of the database user.
        ca: File with the certificate of the authority that signed the server's certificate. If given, the connection
            is encrypted. MySQL only.
        cert: File with the client's certificate, if the server requires one.
        key: File with the client's private key.
    """

    kind: Literal["mysql", "postgresql"]
    host: str
    port: int
    database: str
    user: str
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __str__(self) -> str:
        return f"{self.kind}://{self.user}@{self.host}:{self.port}/{self.database}"

    @property
    def address(self) -> str:
        """The host for the client libraries. MySQL's would use a socket file for ``localhost``."""
        return "127.0.0.1" if self.host == "localhost" else self.host


StoreLocation: TypeAlias = Sqlite | Server


def password() -> str:
    """Reads the database user's password from the environment. No other code reads it.

    Raises:
        LineageError: The variable is not set.
    """
    found = os.environ.get(PASSWORD_VARIABLE)
    if found is None:
        raise LineageError(
            f"{PASSWORD_VARIABLE}: not set; expected the password of the database user in the environment"
        )
    return found


def read_location(output: Path) -> StoreLocation:
    """Returns the location of an output folder's store.

    Raises:
        LineageError: The folder does not exist, or the file that names a server cannot be read.
    """
    if not output.is_dir():
        raise LineageError(f"{output}: no such folder; expected the output folder of a run (--output)")
    path = output / SERVER_FILE
    try:
        server = Server(**json.loads(path.read_text(encoding="utf-8")))
        if server.kind not in KINDS:
            raise ValueError(f"found kind {server.kind!r}; expected one of {', '.join(KINDS)}")
        return server
    except FileNotFoundError:
        return Sqlite(output / SQLITE_FILE)
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise LineageError(
            f"{path}: cannot be read ({error}); remove it and start a run, which writes it again"
        ) from error


def save_location(location: StoreLocation, output: Path) -> None:
    """Writes the server's name to the output folder for :func:`read_location`, or removes it for an SQLite file."""
    path = output / SERVER_FILE
    if isinstance(location, Sqlite):
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f".{SERVER_FILE}")
    partial.write_text(json.dumps(dataclasses.asdict(location), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
