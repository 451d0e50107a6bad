"""Opens ML Metadata."""

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.errors import LineageError
from lineage.store.postgresql import PostgresqlStore
from lineage.store.probe import look
from lineage.store.settings import Server, Sqlite, Store, password, store_of

READONLY = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
READWRITE_OPENCREATE = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
TRIES = 10


def connect(output: Path) -> metadata_store.MetadataStore:
    """Opens the store of a run's output folder for reading: no file, no table is made.

    Raises:
        LineageError: One line that says why it cannot be had.
    """
    store = store_of(output)
    look(store)
    return open_store(store, READONLY)


@contextlib.contextmanager
def reading(output: Path) -> Iterator[metadata_store.MetadataStore]:
    """The same for a while, in which all that ML Metadata raises becomes one line, too."""
    with explained(store_of(output)):
        yield connect(output)


def prepare(store: Store) -> None:
    """Makes the store's tables if there are none, so that a run finds a store it can write.

    Raises:
        LineageError: One line that says why it cannot be had.
    """
    for rest in reversed(range(TRIES)):
        look(store, to_write=True)
        try:
            open_store(store)
            return
        except LineageError:
            if not rest:
                raise
        time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - another run may be making them at this moment


def open_store(store: Store, mode: int = READWRITE_OPENCREATE) -> metadata_store.MetadataStore:
    """Opens a store at which :func:`lineage.store.probe.look` has looked.

    Raises:
        LineageError: ML Metadata cannot.
    """
    config = signed_in(connection_config(store, mode))
    with quiet() as noise:
        try:
            return PostgresqlStore(config) if config.HasField("postgresql") else metadata_store.MetadataStore(config)
        except RuntimeError as error:
            noise.seek(0)
            said = " ".join(f"{error} {noise.read().partition('] ')[2]}".split())
            raise LineageError(f"{store}: ML Metadata's own client failed: {said}") from error


def connection_config(store: Store, mode: int = READWRITE_OPENCREATE) -> metadata_store_pb2.ConnectionConfig:
    """What ML Metadata is told of a store: everything but the password.

    Args:
        store: The store.
        mode: How a file is opened.
    """
    config = metadata_store_pb2.ConnectionConfig()
    if isinstance(store, Sqlite):
        config.sqlite.filename_uri = str(store.path)
        config.sqlite.connection_mode = mode
    elif store.kind == "mysql":
        _mysql(config.mysql, store)
    else:
        _postgresql(config.postgresql, store)
    return config


def signed_in(config: metadata_store_pb2.ConnectionConfig) -> metadata_store_pb2.ConnectionConfig:
    """The same with the password, which must go nowhere but to ML Metadata.

    Raises:
        LineageError: The environment does not have it.
    """
    signed = metadata_store_pb2.ConnectionConfig()
    signed.CopyFrom(config)
    if signed.HasField("mysql"):
        signed.mysql.password = password()
    elif signed.HasField("postgresql"):
        signed.postgresql.password = _quoted(password())
    return signed


@contextlib.contextmanager
def explained(store: Store) -> Iterator[None]:
    """Turns what ML Metadata raises while a store is used into one line.

    Raises:
        LineageError: In the place of ML Metadata's errors.
    """
    try:
        yield
    except errors.AbortedError as error:
        raise LineageError(f"{store}: another process writes without end; wait until it is done") from error
    except errors.StatusError as error:
        look(store)  # most often the server is gone, or a file locked, and this says so
        raise LineageError(f"{store}: ML Metadata failed: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def quiet() -> Iterator[IO[str]]:
    """Takes what C++ code prints on standard error, where ML Metadata tells of each connection."""
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _mysql(config: metadata_store_pb2.MySQLDatabaseConfig, server: Server) -> None:
    config.host, config.port = server.address, server.port
    config.database, config.user = server.database, server.user
    config.skip_db_creation = True  # its user need not have the right to
    if server.ca:
        # It encrypts; its check of certificates fails for good ones, too, so the look at the store does that.
        config.ssl_options.ca = server.ca
    if server.cert:
        config.ssl_options.cert, config.ssl_options.key = server.cert, server.key


def _postgresql(config: metadata_store_pb2.PostgreSQLDatabaseConfig, server: Server) -> None:
    config.host, config.port = _quoted(server.address), str(server.port)
    config.dbname, config.user = _quoted(server.database), _quoted(server.user)
    config.skip_db_creation = True


def _quoted(value: str) -> str:
    """A value as libpq's connection strings need it; ML Metadata puts it there as it is."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
