"""Settings of the ML Metadata store."""

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from lineage.store.location import Server
from models.problem.types import STRICT

PORTS = {"mysql": 3306, "postgresql": 5432}

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")]
# Name of a database or a user. Both servers truncate longer names.
Name = Annotated[str, Field(pattern=r"^[^\s/@']{1,63}$")]
Port = Annotated[int, Ge(1), Le(65_535)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tls:
    """An encrypted connection.

    Attributes:
        ca: PEM file with the certificate authority of the server. Certificate and host name are verified before a
            run. ML Metadata's client then encrypts the connection without verifying it again.
        cert: PEM file with a client certificate, if the server requires one.
        key: PEM file with the private key of ``cert``, without a passphrase.
    """

    ca: str
    cert: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("found one of 'cert' and 'key'; expected both or neither")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Metadata:
    """The ML Metadata store. A server's password comes from the variable ``ONEGRAPH_METADATA_PASSWORD``.

    Attributes:
        kind: ``sqlite`` (``metadata.db`` in the output folder), ``mysql`` (also MariaDB) or ``postgresql``.
        host: Host name or address of the server.
        port: Port of the server, by default 3306 or 5432.
        database: An existing database that nothing else uses.
        user: Database user with all privileges on the database.
        ssl: Encryption of the connection, for ``mysql`` only.
    """

    kind: Literal["sqlite", "mysql", "postgresql"] = "sqlite"
    host: Host | None = None
    port: Port | None = None
    database: Name | None = None
    user: Name | None = None
    ssl: Tls | None = None

    def __post_init__(self) -> None:
        if self.kind == "sqlite":
            for name in ("host", "port", "database", "user", "ssl"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"found '{name}', which kind 'sqlite' does not have; expected 'mysql' or 'postgresql'"
                    )
            return
        for name in ("host", "database", "user"):
            if getattr(self, name) is None:
                raise ValueError(f"'{name}' is missing; kind '{self.kind}' needs 'host', 'database' and 'user'")
        if self.ssl and self.kind == "postgresql":
            raise ValueError(
                "found 'ssl', which kind 'postgresql' does not support, since ML Metadata's PostgreSQL client cannot "
                "encrypt; use 'mysql', or an SSH tunnel whose local end is 'host'"
            )

    @property
    def server(self) -> Server | None:
        """The server, or ``None`` for SQLite."""
        if self.kind == "sqlite":
            return None
        assert self.host  # checked above, like the next two
        assert self.database
        assert self.user
        tls = self.ssl or Tls(ca="")
        return Server(
            kind=self.kind,
            host=self.host,
            port=self.port or PORTS[self.kind],
            database=self.database,
            user=self.user,
            ca=tls.ca,
            cert=tls.cert,
            key=tls.key,
        )
