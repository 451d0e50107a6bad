"""Settings of where ML Metadata is kept."""

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from lineage.store.location import Server
from models.features import STRICT

PORTS = {"mysql": 3306, "postgresql": 5432}

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")]
# What names a database or its user; both servers cut longer ones.
Name = Annotated[str, Field(pattern=r"^[^\s/@']{1,63}$")]
Port = Annotated[int, Ge(1), Le(65_535)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tls:
    """An encrypted connection.

    Attributes:
        ca: File (PEM) with the certificate of who signed the server's, which is checked before a run, as is the name in
            it; ML Metadata's own client then encrypts, and does not check it again.
        cert: File with a certificate of one's own, where the server asks for one.
        key: File with its private key, without a passphrase.
    """

    ca: str
    cert: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("found one of 'cert' and 'key'; expected both or neither")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Metadata:
    """Where ML Metadata is kept. A server's password comes from the environment: ``ONEGRAPH_METADATA_PASSWORD``.

    Attributes:
        kind: ``sqlite`` (``metadata.db`` in the output folder), ``mysql`` (MariaDB, too) or ``postgresql``.
        host: The server's name or address.
        port: 3306 or 5432, unless another is given.
        database: A database of its own, which the server's owner made.
        user: Who signs in; needs all rights on it.
        ssl: An encrypted connection; of ``mysql`` alone.
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
                        f"found '{name}' and kind 'sqlite', which has none; expected 'mysql' or 'postgresql'"
                    )
            return
        for name in ("host", "database", "user"):
            if getattr(self, name) is None:
                raise ValueError(f"'{name}' is missing; kind '{self.kind}' needs 'host', 'database' and 'user'")
        if self.ssl and self.kind == "postgresql":
            raise ValueError(
                "found 'ssl' and kind 'postgresql'; expected none, since ML Metadata's own PostgreSQL client cannot "
                "encrypt: take 'mysql', or a tunnel (ssh -L) whose end is 'host'"
            )

    @property
    def server(self) -> Server | None:
        """The server, if there is one."""
        if self.kind == "sqlite":
            return None
        assert self.host  # checked above, as the next two are
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
