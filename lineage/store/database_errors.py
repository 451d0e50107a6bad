"""Explains errors of the SQLite, MySQL and PostgreSQL clients in one line each."""

import sqlite3
import ssl
from typing import Any

from lineage.store.location import PASSWORD_VARIABLE, Sqlite, StoreLocation

# MySQL error numbers and PostgreSQL error codes.
USER = {1045, 1698, "28P01", "28000"}
DATABASE = {1049, "3D000"}
PERMISSION = {1044, 1142, 1143, "42501"}
UNENCRYPTED = {3159}
UNREACHABLE = {2002, 2003, 2005}
NO_PROTOCOL = {2006, 2013}
NAMES = {"mysql": "MySQL", "postgresql": "PostgreSQL"}


def explain(location: StoreLocation, error: BaseException) -> str:
    """Returns what was found, what was expected, and how to fix it."""
    if isinstance(location, Sqlite):
        return _explain_sqlite(error)
    code, message = _code(error)
    found, fix = f"the server said: {message}", ""
    if isinstance(error, ssl.SSLError) or "SSL" in message:
        found = f"no encrypted connection ({message})"
        fix = "correct metadata.ssl, or metadata.host, which must be a name in the server's certificate"
    elif code in UNENCRYPTED:
        found, fix = f"the server requires an encrypted connection ({message})", "set metadata.ssl"
    elif code in USER:
        found = f"the server refused user '{location.user}' ({message})"
        fix = (
            "expected metadata.user to be a user who may connect from this machine, and the user's password in "
            f"{PASSWORD_VARIABLE}"
        )
    elif code in DATABASE:
        found = f"there is no database '{location.database}'"
        fix = f"create it and grant user '{location.user}' all privileges on it"
    elif code in PERMISSION:
        found = f"permission denied ({message})"
        fix = f"grant user '{location.user}' all privileges on the database"
    elif code in UNREACHABLE:
        found, fix = f"cannot be reached ({message})", "start the server, or correct metadata.host and metadata.port"
    elif code in NO_PROTOCOL:
        found = f"no response from a {NAMES[location.kind]} server ({message})"
        fix = "correct metadata.host, metadata.port or metadata.kind"
    return f"{found}; {fix}" if fix else found


def _explain_sqlite(error: BaseException) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "locked by another process; wait until it ends, or find it with 'fuser' and stop it"
    if name == "SQLITE_NOTADB":
        return "not an SQLite database; restore the file from a copy, or use another folder with --output"
    if name.startswith("SQLITE_READONLY_ROLLBACK"):
        return "a run was killed while it was writing; start a run with this folder to repair the file"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"permission denied ({error}); expected a file and a folder that this user may read and write"
    if isinstance(error, sqlite3.DatabaseError):
        return f"the database is damaged ({error}); restore it from a copy, or use another folder with --output"
    return str(error)


def _code(error: BaseException) -> tuple[Any, str]:
    """Returns the server's error code, or the closest MySQL error number, and the client's message."""
    first = error.args[0] if error.args else str(error)
    if isinstance(first, dict):  # pg8000
        return first.get("C"), str(first.get("M"))
    if isinstance(first, int) and len(error.args) > 1:  # PyMySQL
        return first, str(error.args[1])
    if isinstance(error, TimeoutError):
        return 2013, "timed out"
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and not isinstance(cause, ConnectionResetError):  # pg8000 could not connect
        return 2003, str(cause)
    return 2013, str(cause or first)
