import json
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.store.settings import SERVER_FILE, VARIABLE, Server, Sqlite, password, remember, store_of

SERVER = Server(kind="postgresql", host="db.example", port=5432, database="onegraph", user="taxi")


def test_a_folder_without_a_named_server_has_a_file(tmp_path: Path) -> None:
    assert store_of(tmp_path) == Sqlite(tmp_path / "metadata.db")


@pytest.mark.parametrize(
    "server",
    [SERVER, Server(kind="mysql", host="10.0.0.7", port=3307, database="d", user="u", ca="/ca", cert="/c", key="/k")],
)
def test_a_folder_names_the_server_that_its_runs_are_on(tmp_path: Path, server: Server) -> None:
    remember(server, tmp_path)
    assert store_of(tmp_path) == server
    assert [path.name for path in tmp_path.iterdir()] == [SERVER_FILE]


def test_runs_that_go_back_to_a_file_leave_no_server_named(tmp_path: Path) -> None:
    remember(SERVER, tmp_path)
    remember(Sqlite(tmp_path / "metadata.db"), tmp_path)
    assert store_of(tmp_path) == Sqlite(tmp_path / "metadata.db")
    assert not list(tmp_path.iterdir())


def test_what_is_left_in_the_folder_has_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "hush")
    remember(SERVER, tmp_path)
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
def test_a_file_that_names_no_server_is_told_by_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / SERVER_FILE).write_text(text)
    with pytest.raises(LineageError, match=r"metadata\.json: cannot be read \(.*start a run, which writes it"):
        store_of(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="gone: no such folder; expected the output folder of a run"):
        store_of(tmp_path / "gone")


def test_the_password_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert password() == ""
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(LineageError, match="ONEGRAPH_METADATA_PASSWORD: not set; expected the password"):
        password()
