"""Checks a store with its database's own client, within seconds and without writing.

ML Metadata's client is not suited for this check. It creates missing tables and retries for up to 40 s. It reports a
wrong password or a server that is down only on standard error, or (MySQL) not at all.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import quote

from lineage.errors import LineageError
from lineage.store import database_errors
from lineage.store.location import Server, Sqlite, StoreLocation, password

SCHEMA = 10  # version of ML Metadata 1.21's tables
TIMEOUT_SECONDS = 5  # for a server that does not respond, or a file that another process has locked
Database: TypeAlias = Any  # a connection as in PEP 249
# These statements change nothing, and fail without the permission to write.
WRITES = (
    "INSERT INTO MLMDEnv (schema_version) SELECT schema_version FROM MLMDEnv WHERE 1 = 0",
    "UPDATE MLMDEnv SET schema_version = schema_version WHERE 1 = 0",
)
TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
}


def probe(location: StoreLocation, writable: bool = False) -> None:
    """Checks that a store can be opened.

    Args:
        location: Where the store is.
        writable: Whether a run is going to write to the store. If so, an empty database or a missing file is fine.

    Raises:
        LineageError: The store cannot be opened. The message says why, in one line.
    """
    if isinstance(location, Sqlite) and not location.path.is_file():
        if writable and not location.path.exists():
            return
        found = "found a folder" if location.path.exists() else "not found"
        raise LineageError(f"{location}: {found}; expected ML Metadata's file in the output folder of a run (--output)")
    with _opened(location, writable) as database:
        cursor = database.cursor()
        cursor.execute(TABLES[location.kind if isinstance(location, Server) else "sqlite"])
        tables = {str(name).lower() for (name,) in cursor.fetchall()}
        if "mlmdenv" in tables:
            cursor.execute("SELECT schema_version FROM MLMDEnv")
            _check_schema(location, [version for (version,) in cursor.fetchall()], writable)
        elif tables and "type" not in tables:  # ML Metadata creates Type first and MLMDEnv last
            raise LineageError(
                f"{location}: found tables of another program ({', '.join(sorted(tables)[:3])}); expected a database "
                "that only ML Metadata uses"
            )
        elif not writable:
            raise LineageError(f"{location}: found an empty database; expected the runs of a pipeline: start one first")
        for statement in WRITES if writable and "mlmdenv" in tables else ():
            cursor.execute(statement)


def _check_schema(location: StoreLocation, versions: list[int], writable: bool) -> None:
    """Raises unless the tables have this ML Metadata's version, or are about to be created."""
    if not versions and writable:
        return
    found = versions[0] if versions else 0
    if found > SCHEMA:
        raise LineageError(
            f"{location}: found schema {found} of a newer ML Metadata; expected {SCHEMA}, the schema of version 1.21: "
            "use the version of this project that wrote it"
        )
    if found < SCHEMA:
        raise LineageError(
            f"{location}: found schema {found} of an older ML Metadata; expected {SCHEMA}: make a copy, then open it "
            "once with ml_metadata's MetadataStore(…, enable_upgrade_migration=True)"
        )


@contextlib.contextmanager
def _opened(location: StoreLocation, writable: bool) -> Iterator[Database]:
    """Opens the database and rolls back at the end."""
    try:
        with contextlib.closing(_connect(location, writable)) as database:
            yield database
            database.rollback()
    except LineageError:
        raise
    except Exception as error:  # each of the three clients has its own errors
        raise LineageError(f"{location}: {database_errors.explain(location, error)}") from error


def _connect(location: StoreLocation, writable: bool) -> Database:
    if isinstance(location, Sqlite):
        mode = "rw" if writable else "ro"
        return sqlite3.connect(f"file:{quote(str(location.path))}?mode={mode}", uri=True, timeout=TIMEOUT_SECONDS)
    names = {
        "host": location.host,
        "port": location.port,
        "database": location.database,
        "user": location.user,
    }
    if location.kind == "postgresql":
        from pg8000 import dbapi  # noqa: PLC0415 - saves time in runs with SQLite

        return dbapi.connect(**names, password=password(), timeout=TIMEOUT_SECONDS)
    import pymysql  # noqa: PLC0415 - saves time in runs with SQLite

    verified = {"ssl_verify_cert": True, "ssl_verify_identity": True, "ssl_cert": location.cert or None}
    return pymysql.connect(
        **names,
        password=password().encode(),  # PyMySQL would encode a str as Latin-1
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        write_timeout=TIMEOUT_SECONDS,
        ssl_key=location.key or None,
        **({"ssl_ca": location.ca, **verified} if location.ca else {"ssl_disabled": True}),
    )
