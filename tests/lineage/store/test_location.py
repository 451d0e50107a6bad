import json
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.store.location import (
    PASSWORD_VARIABLE,
    SERVER_FILE,
    Server,
    Sqlite,
    password,
    read_location,
    save_location,
)

SERVER = Server(kind="postgresql", host="db.example", port=5432, database="onegraph", user="taxi")


def test_a_folder_without_a_server_has_an_sqlite_file(tmp_path: Path) -> None:
    assert read_location(tmp_path) == Sqlite(tmp_path / "metadata.db")


@pytest.mark.parametrize(
    "server",
    [SERVER, Server(kind="mysql", host="10.0.0.7", port=3307, database="d", user="u", ca="/ca", cert="/c", key="/k")],
)
def test_a_folder_names_the_server_of_its_runs(tmp_path: Path, server: Server) -> None:
    save_location(server, tmp_path)
    assert read_location(tmp_path) == server
    assert [path.name for path in tmp_path.iterdir()] == [SERVER_FILE]


def test_going_back_to_sqlite_removes_the_server(tmp_path: Path) -> None:
    save_location(SERVER, tmp_path)
    save_location(Sqlite(tmp_path / "metadata.db"), tmp_path)
    assert read_location(tmp_path) == Sqlite(tmp_path / "metadata.db")
    assert not list(tmp_path.iterdir())


def test_the_file_in_the_folder_has_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "hush")
    save_location(SERVER, tmp_path)
    assert "hush" not in (tmp_path / SERVER_FILE).read_text()
    assert "hush" not in f"{SERVER} {SERVER!r}"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"kind": "mysql"}',
        json.dumps({"kind": "mysql", "hots": "x"}),
        json.dumps({"kind": "oracle", "host": "x", "port": 1, "database": "x", "user": "x"}),
        "\0",
    ],
    ids=["broken", "list", "deep", "few", "unknown", "kind", "zero"],
)
def test_an_invalid_server_file_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / SERVER_FILE).write_text(text)
    with pytest.raises(LineageError, match=r"metadata\.json: cannot be read \(.*start a run, which writes it again"):
        read_location(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="gone: no such folder; expected the output folder of a run"):
        read_location(tmp_path / "gone")


def test_the_password_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "")
    assert password() == ""
    monkeypatch.delenv(PASSWORD_VARIABLE)
    with pytest.raises(LineageError, match="ONEGRAPH_METADATA_PASSWORD: not set; expected the password"):
        password()
