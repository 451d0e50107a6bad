"""A first look at a store by its database's own client: what is wrong is found within seconds, and without writing.

ML Metadata's client cannot do that: it makes missing tables, tries again for up to 40 s, and tells a wrong password
from a server that is down on standard error alone, or (MySQL) not at all.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import quote

from lineage.errors import LineageError
from lineage.store import database_errors
from lineage.store.settings import Server, Sqlite, Store, password

SCHEMA = 10  # of ML Metadata 1.21's tables
SECONDS = 5  # until a server that does not answer, or a file that another process holds, is given up
Database: TypeAlias = Any  # a connection, as PEP 249 has it
# They change nothing; a user without the right to is refused all the same.
WRITES = (
    "INSERT INTO MLMDEnv (schema_version) SELECT schema_version FROM MLMDEnv WHERE 1 = 0",
    "UPDATE MLMDEnv SET schema_version = schema_version WHERE 1 = 0",
)
TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
}


def look(store: Store, to_write: bool = False) -> None:
    """Checks that a store can be opened.

    Args:
        store: The store.
        to_write: Whether a run is to be kept there; then an empty database will do, and a file need not be there.

    Raises:
        LineageError: One line that says why it cannot.
    """
    if isinstance(store, Sqlite) and not store.path.is_file():
        if to_write and not store.path.exists():
            return
        found = "found a folder" if store.path.exists() else "not there"
        raise LineageError(f"{store}: {found}; expected ML Metadata's file in the output folder of a run (--output)")
    with _opened(store, to_write) as database:
        cursor = database.cursor()
        cursor.execute(TABLES[store.kind if isinstance(store, Server) else "sqlite"])
        tables = {str(name).lower() for (name,) in cursor.fetchall()}
        if "mlmdenv" in tables:
            cursor.execute("SELECT schema_version FROM MLMDEnv")
            _check_schema(store, [version for (version,) in cursor.fetchall()], to_write)
        elif tables and "type" not in tables:  # it is the first that ML Metadata makes, and MLMDEnv the last
            raise LineageError(
                f"{store}: found other tables ({', '.join(sorted(tables)[:3])}) and none of ML Metadata's; expected a "
                "database of its own"
            )
        elif not to_write:
            raise LineageError(f"{store}: found an empty database; expected the runs of a pipeline: start one first")
        for statement in WRITES if to_write and "mlmdenv" in tables else ():
            cursor.execute(statement)


def _check_schema(store: Store, versions: list[int], to_write: bool) -> None:
    """Raises unless the tables are those of this ML Metadata, or about to be made."""
    if not versions and to_write:
        return
    found = versions[0] if versions else 0
    if found > SCHEMA:
        raise LineageError(
            f"{store}: found schema {found}, of a newer ML Metadata; expected {SCHEMA}, which 1.21 reads: use the "
            "version of this project that wrote it"
        )
    if found < SCHEMA:
        raise LineageError(
            f"{store}: found schema {found}, of an older ML Metadata; expected {SCHEMA}: keep a copy, then open it "
            "once with ml_metadata's MetadataStore(…, enable_upgrade_migration=True)"
        )


@contextlib.contextmanager
def _opened(store: Store, to_write: bool) -> Iterator[Database]:
    """The database, which is left as it was."""
    try:
        with contextlib.closing(_connect(store, to_write)) as database:
            yield database
            database.rollback()
    except LineageError:
        raise
    except Exception as error:  # three clients, each with errors of its own
        raise LineageError(f"{store}: {database_errors.why(store, error)}") from error


def _connect(store: Store, to_write: bool) -> Database:
    if isinstance(store, Sqlite):
        mode = "rw" if to_write else "ro"
        return sqlite3.connect(f"file:{quote(str(store.path))}?mode={mode}", uri=True, timeout=SECONDS)
    names = {"host": store.host, "port": store.port, "database": store.database, "user": store.user}
    if store.kind == "postgresql":
        from pg8000 import dbapi  # noqa: PLC0415 - time, which runs with SQLite do not pay

        return dbapi.connect(**names, password=password(), timeout=SECONDS)
    import pymysql  # noqa: PLC0415 - the same

    checked = {"ssl_verify_cert": True, "ssl_verify_identity": True, "ssl_cert": store.cert or None}
    return pymysql.connect(
        **names,
        password=password().encode(),  # it would take text for Latin-1
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        write_timeout=SECONDS,
        ssl_key=store.key or None,
        **({"ssl_ca": store.ca, **checked} if store.ca else {"ssl_disabled": True}),
    )
