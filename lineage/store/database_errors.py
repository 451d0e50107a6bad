"""Why a store cannot be had: what three databases' clients say, in one line each."""

import sqlite3
import ssl
from typing import Any

from lineage.store.settings import VARIABLE, Sqlite, Store

# By MySQL's error number, or PostgreSQL's code.
USER = {1045, 1698, "28P01", "28000"}
DATABASE = {1049, "3D000"}
RIGHTS = {1044, 1142, 1143, "42501"}
UNENCRYPTED = {3159}
AWAY = {2002, 2003, 2005}
STRANGE = {2006, 2013}
NAMES = {"mysql": "MySQL", "postgresql": "PostgreSQL"}


def why(store: Store, error: BaseException) -> str:
    """What was found, what was expected and how to mend it."""
    if isinstance(store, Sqlite):
        return _of_file(error)
    code, said = _code(error)
    found, mend = f"the server said: {said}", ""
    if isinstance(error, ssl.SSLError) or "SSL" in said:
        found = f"no encrypted connection ({said})"
        mend = "mend metadata.ssl, or metadata.host, which has to be what the server's certificate names"
    elif code in UNENCRYPTED:
        found, mend = f"the server wants an encrypted connection ({said})", "give it metadata.ssl"
    elif code in USER:
        found = f"the server refused user '{store.user}' ({said})"
        mend = f"expected metadata.user, and the password in {VARIABLE}, of a user who may sign in from here"
    elif code in DATABASE:
        found = f"there is no database '{store.database}'"
        mend = f"make it, and give user '{store.user}' all rights on it"
    elif code in RIGHTS:
        found, mend = f"permission denied ({said})", f"give user '{store.user}' all rights on the database"
    elif code in AWAY:
        found, mend = f"cannot be reached ({said})", "start the server, or mend metadata.host and metadata.port"
    elif code in STRANGE:
        found, mend = (
            f"no answer as {NAMES[store.kind]}'s ({said})",
            "mend metadata.host, metadata.port or metadata.kind",
        )
    return f"{found}; {mend}" if mend else found


def _of_file(error: BaseException) -> str:
    """The same for SQLite."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "locked by another process; wait until it ends, or find it with 'fuser' and end it"
    if name == "SQLITE_NOTADB":
        return "this is no SQLite database; put back a copy of it, or give another folder with --output"
    if name.startswith("SQLITE_READONLY_ROLLBACK"):
        return "a run was killed while it wrote; start a run on this folder, which puts it in order"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"permission denied ({error}); expected a file, in a folder, that this user may use"
    if isinstance(error, sqlite3.DatabaseError):
        return f"the database is damaged ({error}); put back a copy of it, or give another folder with --output"
    return str(error)


def _code(error: BaseException) -> tuple[Any, str]:
    """A client's error as the server's code, or MySQL's own number for what stands for it, and its words."""
    first = error.args[0] if error.args else str(error)
    if isinstance(first, dict):  # pg8000
        return first.get("C"), str(first.get("M"))
    if isinstance(first, int) and len(error.args) > 1:  # PyMySQL
        return first, str(error.args[1])
    if isinstance(error, TimeoutError):
        return 2013, "no answer"
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and not isinstance(cause, ConnectionResetError):  # pg8000 could not connect
        return 2003, str(cause)
    return 2013, str(cause or first)
