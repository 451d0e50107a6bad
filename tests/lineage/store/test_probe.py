import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from database_servers import Running, free_port

from lineage.errors import LineageError
from lineage.store.connection import create_tables
from lineage.store.location import PASSWORD_VARIABLE, Server, Sqlite, StoreLocation
from lineage.store.probe import SCHEMA, probe

HOLD = """
import os, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    store.execute(statement)
print("held", flush=True)
sys.stdin.read()
"""
SMALL = "PRAGMA cache_size = 1"  # so that a large change reaches the file before the commit
SPILL = "INSERT INTO Type (name, type_kind) SELECT hex(randomblob(500)), 1 FROM Held, Held AS b, Held AS c, Held AS d"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with ML Metadata's tables and no rows."""
    path = tmp_path_factory.mktemp("store") / "metadata.db"
    create_tables(Sqlite(path))
    return path


@pytest.fixture
def file(empty_store: Path, tmp_path: Path) -> Sqlite:
    return Sqlite(Path(shutil.copy(empty_store, tmp_path / "metadata.db")))


@pytest.fixture
def made(server: Running) -> Iterator[Server]:
    """An empty database on each server."""
    yield server.database("looked_at")
    server.sql("DROP DATABASE looked_at")


@contextlib.contextmanager
def held(path: Path, *statements: str) -> Iterator["subprocess.Popen[str]"]:
    """Runs statements on a file in another process, which keeps its locks."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def refusal(store: StoreLocation, writable: bool = False) -> str:
    with pytest.raises(LineageError) as caught:
        probe(store, writable)
    text = str(caught.value)
    assert text.startswith(f"{store}: ")
    assert "\n" not in text
    assert os.environ.get(PASSWORD_VARIABLE, "no password") not in text
    return text


def test_a_store_of_a_run_is_fine(file: Sqlite) -> None:
    before = file.path.read_bytes()
    probe(file)
    probe(file, writable=True)
    assert file.path.read_bytes() == before


def test_a_missing_file_is_fine_for_a_run(tmp_path: Path) -> None:
    file = Sqlite(tmp_path / "metadata.db")
    probe(file, writable=True)
    assert "not found; expected ML Metadata's file in the output folder of a run" in refusal(file)
    assert not list(tmp_path.iterdir())


def test_an_empty_file_is_left_empty(tmp_path: Path) -> None:
    file = Sqlite(tmp_path / "metadata.db")
    file.path.touch()
    probe(file, writable=True)
    assert "found an empty database; expected the runs of a pipeline" in refusal(file)
    assert file.path.stat().st_size == 0


@pytest.mark.parametrize("writable", [False, True])
def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path, writable: bool) -> None:
    file = Sqlite(tmp_path / "metadata.db")
    file.path.write_bytes(b"not a database" * 100)
    assert "not an SQLite database; restore the file from a copy" in refusal(file, writable)


def test_a_damaged_database_is_refused(file: Sqlite) -> None:
    with file.path.open("r+b") as content:
        content.truncate(5000)
    assert "the database is damaged" in refusal(file)


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    assert "found a folder; expected ML Metadata's file" in refusal(Sqlite(tmp_path), writable=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_of_another_user_is_refused(file: Sqlite) -> None:
    file.path.chmod(0o444)
    probe(file)
    assert "permission denied (attempt to write a readonly database)" in refusal(file, writable=True)
    file.path.chmod(0)
    assert "permission denied (unable to open database file)" in refusal(file)


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize(
    ("version", "expected"),
    [(SCHEMA + 1, f"found schema {SCHEMA + 1} of a newer"), (6, "found schema 6 of an older ML Metadata")],
)
def test_tables_of_another_version_are_refused_and_left_unchanged(
    file: Sqlite, version: int, expected: str, writable: bool
) -> None:
    with contextlib.closing(sqlite3.connect(file.path)) as database:
        database.execute("UPDATE MLMDEnv SET schema_version = ?", [version])
        database.commit()
    before = file.path.read_bytes()
    assert expected in refusal(file, writable)
    assert file.path.read_bytes() == before


def test_the_expected_version_is_that_of_the_installed_ml_metadata(file: Sqlite) -> None:
    with contextlib.closing(sqlite3.connect(file.path)) as database:
        assert database.execute("SELECT schema_version FROM MLMDEnv").fetchall() == [(SCHEMA,)]


def test_a_locked_file_is_refused_soon(file: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage.store.probe.TIMEOUT_SECONDS", 0.2)
    with held(file.path, "BEGIN EXCLUSIVE"):
        started = time.monotonic()
        assert "locked by another process; wait until it ends" in refusal(file)
        assert time.monotonic() - started < 2


def test_a_file_that_a_run_is_writing_to_can_be_read(file: Sqlite) -> None:
    with held(file.path, "BEGIN IMMEDIATE", "INSERT INTO Type (name, type_kind) VALUES ('new', 1)"):
        probe(file)


def test_a_run_killed_while_writing_is_reported_and_the_next_run_repairs_the_file(file: Sqlite) -> None:
    with contextlib.closing(sqlite3.connect(file.path)) as database:
        database.executescript("CREATE TABLE Held (i INTEGER); INSERT INTO Held VALUES (1), (2), (3), (4), (5), (6)")
    with held(file.path, SMALL, "BEGIN IMMEDIATE", SPILL) as process:
        process.send_signal(signal.SIGKILL)
    assert "a run was killed while it was writing; start a run with this folder" in refusal(file)
    probe(file, writable=True)
    probe(file)


def test_an_empty_database_is_fine_for_a_run_and_stays_empty(server: Running, made: Server) -> None:
    probe(made, writable=True)
    assert "found an empty database; expected the runs of a pipeline" in refusal(made)
    schema = "looked_at" if server.kind == "mysql" else "public"
    tables = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'"
    assert server.sql(tables, database="looked_at") == []
    create_tables(made)
    probe(made)
    probe(made, writable=True)
    assert len(server.sql(tables, database="looked_at")) >= 15


def test_a_database_with_tables_of_another_program_is_refused(server: Running, made: Server) -> None:
    server.sql("CREATE TABLE orders (id INTEGER)", database="looked_at")
    if server.kind == "postgresql":
        server.sql("GRANT SELECT ON orders TO writer", database="looked_at")
    assert "found tables of another program (orders)" in refusal(made, writable=True)


def test_a_wrong_password_is_reported_without_the_password(made: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "sesame")
    text = refusal(made)
    assert "the server refused user 'writer' (" in text
    assert f"the user's password in {PASSWORD_VARIABLE}" in text


def test_a_password_that_is_not_set_is_reported_before_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    away = Server(kind="mysql", host="localhost", port=1, database="d", user="u")
    with pytest.raises(LineageError, match=f"{PASSWORD_VARIABLE}: not set"):
        probe(away)


def test_an_unknown_user_is_reported(made: Server) -> None:
    assert "the server refused user 'nobody_else' (" in refusal(dataclasses.replace(made, user="nobody_else"))


def test_a_missing_database_is_not_created(server: Running, made: Server) -> None:
    if server.kind == "mysql":  # which reports this only to users with privileges on it
        server.sql("GRANT ALL ON gone.* TO writer")
    text = refusal(dataclasses.replace(made, database="gone"), writable=True)
    assert "there is no database 'gone'; create it and grant user 'writer' all privileges" in text


def test_a_database_of_another_user_is_refused(server: Running, made: Server) -> None:
    if server.kind == "postgresql":
        server.sql("REVOKE CONNECT ON DATABASE looked_at FROM PUBLIC")
    server.database("others", user="other")
    if server.kind == "postgresql":
        server.sql("REVOKE CONNECT ON DATABASE others FROM PUBLIC")
    assert "permission denied (" in refusal(dataclasses.replace(made, database="others"))
    server.sql("DROP DATABASE others")


def test_a_read_only_user_is_refused_for_a_run(server: Running, made: Server) -> None:
    create_tables(made)
    if server.kind == "mysql":
        server.sql("REVOKE ALL ON looked_at.* FROM writer", "GRANT SELECT ON looked_at.* TO writer")
    else:
        server.sql("REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM writer", database="looked_at")
    probe(made)
    assert "permission denied (" in refusal(made, writable=True)


def silent_socket() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda server: dataclasses.replace(server, port=free_port()), r"cannot be reached \(.*refused\)+; start the"),
        (lambda server: dataclasses.replace(server, host="no.such.host.invalid"), r"cannot be reached \(.*not known"),
    ],
)
def test_a_server_that_cannot_be_reached_is_reported(
    kind: str, change: Callable[[Server], Server], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "hush")
    away = Server(kind=kind, host="localhost", port=1, database="d", user="u")  # type: ignore[arg-type]
    with pytest.raises(LineageError, match=expected):
        probe(change(away))


@pytest.mark.parametrize(("kind", "name"), [("mysql", "MySQL"), ("postgresql", "PostgreSQL")])
def test_a_server_that_does_not_respond_times_out_soon(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage.store.probe.TIMEOUT_SECONDS", 0.3)
    monkeypatch.setenv(PASSWORD_VARIABLE, "hush")
    with silent_socket() as listening:
        port = listening.getsockname()[1]
        started = time.monotonic()
        silent = Server(kind=kind, host="localhost", port=port, database="d", user="u")  # type: ignore[arg-type]
        assert f"no response from a {name} server (" in refusal(silent)
        assert time.monotonic() - started < 3


def test_another_kind_of_server_is_reported(made: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage.store.probe.TIMEOUT_SECONDS", 0.5)
    other, name = ("postgresql", "PostgreSQL") if made.kind == "mysql" else ("mysql", "MySQL")
    changed = dataclasses.replace(made, kind=other)  # type: ignore[arg-type]
    assert f"no response from a {name} server (" in refusal(changed)
