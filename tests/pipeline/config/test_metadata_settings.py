from pathlib import Path
from typing import Any

import pytest
import yaml

from common.project import ROOT
from lineage.store.location import PASSWORD_VARIABLE, Server
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config, load_vertex_config
from pipeline.config.metadata import Metadata
from pipeline.pipeline import metadata_connection
from pipeline.preflight.metadata_store import check_store

TAXI = ROOT / "configs/taxi.yaml"
SERVER = {"kind": "postgresql", "host": "db.example", "database": "onegraph", "user": "taxi"}
PLACE = {"project": "my-project", "region": "europe-west4", "bucket": "gs://my-bucket", "image": "r.example/i:1"}


def given(**block: Any) -> dict[str, str]:
    return {"metadata": yaml.safe_dump(block, default_flow_style=True)}


def refusal(**block: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(TAXI, given(**block))
    text = str(caught.value)
    assert text.startswith("--set: metadata")
    assert "\n" not in text
    return text


def test_a_file_in_the_output_folder_is_the_default() -> None:
    assert load_config(TAXI).metadata == Metadata(kind="sqlite")
    assert load_config(TAXI, given()).metadata.server is None


@pytest.mark.parametrize(("kind", "port"), [("mysql", 3306), ("postgresql", 5432)])
def test_port_defaults_to_that_of_the_kind(kind: str, port: int) -> None:
    expected = {"host": "db.example", "database": "onegraph", "user": "taxi"}
    store = load_config(TAXI, given(**{**SERVER, "kind": kind})).store
    assert store == Server(kind=kind, port=port, **expected)  # type: ignore[arg-type]
    store = load_config(TAXI, given(**{**SERVER, "kind": kind, "port": 7000})).store
    assert store == Server(kind=kind, port=7000, **expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"kind": "postgres"},
            "unknown value 'postgres'; allowed: mysql, postgresql, sqlite; did you mean 'postgresql'?",
        ),
        (
            {"hots": "x"},
            "metadata.hots: unknown key 'hots'; allowed: database, host, kind, port, ssl, user; did you mean",
        ),
        ({"password": "hush"}, "metadata.password: unknown key 'password'"),
        ({"port": 0}, "metadata.port: found 0 (int); expected greater than or equal to 1"),
        ({"port": "5432"}, "metadata.port: found '5432' (str); expected a valid integer"),
        ({"host": "db example"}, "metadata.host: found 'db example' (str); expected text that matches"),
        ({"database": ""}, "metadata.database: found '' (str); expected text that matches"),
        ({"user": None}, "metadata: 'user' is missing; kind 'postgresql' needs 'host', 'database' and 'user'"),
        ({"kind": "sqlite"}, "metadata: found 'host', which kind 'sqlite' does not have; expected 'mysql' or"),
        (
            {"ssl": {"ca": "ca.pem"}},
            "metadata: found 'ssl', which kind 'postgresql' does not support, since ML Metadata's",
        ),
        ({"kind": "mysql", "ssl": {"cert": "c"}}, "metadata.ssl.ca: missing; expected a value"),
        (
            {"kind": "mysql", "ssl": {"ca": "a", "key": "k"}},
            "metadata.ssl: found one of 'cert' and 'key'; expected both",
        ),
    ],
)
def test_invalid_value_is_refused_with_the_allowed_ones(change: dict[str, Any], expected: str) -> None:
    text = refusal(**{**SERVER, **change})
    assert expected in text
    assert "hush" not in text


def test_server_is_refused_for_vertex_ai() -> None:
    with pytest.raises(
        ConfigError, match=r"metadata\.kind: found 'postgresql'; expected no 'metadata' block on Vertex"
    ):
        load_vertex_config(TAXI, given(**SERVER), **PLACE)
    assert load_vertex_config(TAXI, given(), **PLACE).metadata == Metadata()


def test_certificate_paths_are_relative_to_the_project_and_must_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "hush")
    config = load_config(TAXI, given(**{**SERVER, "kind": "mysql", "ssl": {"ca": "certificates/ca.pem"}}))
    assert isinstance(config.store, Server)
    assert config.store.ca == str(ROOT / "certificates/ca.pem")
    assert config.store.cert == ""
    with pytest.raises(
        ConfigError, match=r"metadata\.ssl\.ca: found no file .*certificates/ca\.pem; expected a PEM file"
    ):
        check_store(config)


def test_pipeline_has_the_server_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "hush")
    connection = metadata_connection(load_config(TAXI, given(**SERVER), output=str(tmp_path)))
    assert connection is not None
    assert connection.postgresql.dbname == "'onegraph'"
    assert "hush" not in str(connection)
    connection = metadata_connection(load_config(TAXI, output=str(tmp_path)))
    assert connection is not None
    assert connection.sqlite.filename_uri == str(tmp_path / "metadata.db")
