"""Where ML Metadata is kept: in a file of the output folder, or in a database on a server."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Literal, TypeAlias

from lineage.errors import LineageError

SQLITE_FILE = "metadata.db"
SERVER_FILE = "metadata.json"
KINDS = ("mysql", "postgresql")
VARIABLE = "ONEGRAPH_METADATA_PASSWORD"


@dataclasses.dataclass(frozen=True)
class Sqlite:
    """A file.

    Attributes:
        path: The file.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A database on a server. Its password is in the environment and nowhere else.

    Attributes:
        kind: ``mysql`` (MariaDB, too) or ``postgresql``.
        host: Name or address.
        port: Port.
        database: The database, which the server's owner made.
        user: Who signs in.
        ca: File with the certificate of who signed the server's; with it the connection is encrypted. MySQL alone.
        cert: This side's certificate, where the server asks for one.
        key: Its private key.
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
        """The host as clients are told it: MySQL's takes ``localhost`` for a socket's file."""
        return "127.0.0.1" if self.host == "localhost" else self.host


Store: TypeAlias = Sqlite | Server


def password() -> str:
    """The password of the server's user; the only place that reads it.

    Raises:
        LineageError: It is not set.
    """
    found = os.environ.get(VARIABLE)
    if found is None:
        raise LineageError(f"{VARIABLE}: not set; expected the password of the database's user in the environment")
    return found


def store_of(output: Path) -> Store:
    """The store of a run's output folder.

    Raises:
        LineageError: The folder, or the file that names a server, cannot be read.
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
        raise LineageError(f"{path}: cannot be read ({error}); remove it and start a run, which writes it") from error


def remember(store: Store, output: Path) -> None:
    """Leaves in the output folder which server its runs are kept on, for whoever reads them."""
    path = output / SERVER_FILE
    if isinstance(store, Sqlite):
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f".{SERVER_FILE}")
    partial.write_text(json.dumps(dataclasses.asdict(store), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
