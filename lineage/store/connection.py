"""Opens ML Metadata's store."""

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
from lineage.store.location import Server, Sqlite, StoreLocation, password, read_location
from lineage.store.postgresql_patches import PostgresqlStore
from lineage.store.probe import probe
from lineage.store.reader import MetadataReader

READONLY = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
READWRITE_OPENCREATE = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
ATTEMPTS = 10


@contextlib.contextmanager
def reading(output: Path) -> Iterator[MetadataReader]:
    """Opens the store of an output folder, and turns ML Metadata's errors inside the block into one line.

    Raises:
        LineageError: The store cannot be opened or read. The message says why, in one line.
    """
    with one_line_errors(read_location(output)):
        yield open_reader(output)


def open_reader(output: Path) -> MetadataReader:
    """Opens the store of an output folder for reading. It creates neither a file nor tables.

    Raises:
        LineageError: The store cannot be opened. The message says why, in one line.
    """
    location = read_location(output)
    probe(location)
    return MetadataReader(open_store(location, READONLY), str(output))


def create_tables(location: StoreLocation) -> None:
    """Creates the store's tables if there are none, so that a run can write to it.

    Raises:
        LineageError: The store cannot be opened. The message says why, in one line.
    """
    for remaining in reversed(range(ATTEMPTS)):
        probe(location, writable=True)
        try:
            open_store(location)
            return
        except LineageError:
            if not remaining:
                raise
        time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - another run may be creating them now


def open_store(location: StoreLocation, mode: int = READWRITE_OPENCREATE) -> metadata_store.MetadataStore:
    """Opens a store that :func:`lineage.store.probe.probe` has checked.

    Args:
        location: Where the store is.
        mode: How an SQLite file is opened.

    Raises:
        LineageError: ML Metadata's client failed.
    """
    config = with_password(connection_config(location, mode))
    with captured_stderr() as captured:
        try:
            return PostgresqlStore(config) if config.HasField("postgresql") else metadata_store.MetadataStore(config)
        except RuntimeError as error:
            captured.seek(0)
            message = " ".join(f"{error} {captured.read().partition('] ')[2]}".split())
            raise LineageError(f"{location}: ML Metadata's client failed: {message}") from error


def connection_config(location: StoreLocation, mode: int = READWRITE_OPENCREATE) -> metadata_store_pb2.ConnectionConfig:
    """Returns ML Metadata's description of a store, without the password.

    Args:
        location: Where the store is.
        mode: How an SQLite file is opened.
    """
    config = metadata_store_pb2.ConnectionConfig()
    if isinstance(location, Sqlite):
        config.sqlite.filename_uri = str(location.path)
        config.sqlite.connection_mode = mode
    elif location.kind == "mysql":
        _set_mysql(config.mysql, location)
    else:
        _set_postgresql(config.postgresql, location)
    return config


def with_password(config: metadata_store_pb2.ConnectionConfig) -> metadata_store_pb2.ConnectionConfig:
    """Returns a copy that has the password. Pass it to nothing but ML Metadata.

    Raises:
        LineageError: The password is not in the environment.
    """
    copy = metadata_store_pb2.ConnectionConfig()
    copy.CopyFrom(config)
    if copy.HasField("mysql"):
        copy.mysql.password = password()
    elif copy.HasField("postgresql"):
        copy.postgresql.password = _quoted(password())
    return copy


@contextlib.contextmanager
def one_line_errors(location: StoreLocation) -> Iterator[None]:
    """Turns ML Metadata's errors inside the block into one line.

    Raises:
        LineageError: ML Metadata failed.
    """
    try:
        yield
    except errors.AbortedError as error:
        raise LineageError(f"{location}: another process keeps writing; wait until it is done") from error
    except errors.StatusError as error:
        probe(location)  # usually the server is gone or the file is locked, and this says so
        raise LineageError(f"{location}: ML Metadata failed: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def captured_stderr() -> Iterator[IO[str]]:
    """Captures standard error, C++ code included: ML Metadata logs each connection there."""
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _set_mysql(config: metadata_store_pb2.MySQLDatabaseConfig, server: Server) -> None:
    config.host, config.port = server.address, server.port
    config.database, config.user = server.database, server.user
    config.skip_db_creation = True  # the user may not have the permission
    if server.ca:
        # The client encrypts, but its check rejects valid certificates too, so only the probe checks them.
        config.ssl_options.ca = server.ca
    if server.cert:
        config.ssl_options.cert, config.ssl_options.key = server.cert, server.key


def _set_postgresql(config: metadata_store_pb2.PostgreSQLDatabaseConfig, server: Server) -> None:
    config.host, config.port = _quoted(server.address), str(server.port)
    config.dbname, config.user = _quoted(server.database), _quoted(server.user)
    config.skip_db_creation = True


def _quoted(value: str) -> str:
    """Quotes a value for libpq's connection strings, which ML Metadata does not do."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
