import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from server_process import Server, free_port

from serving.client.cli import Client, _columns, cli
from serving.client.transports import Signature
from serving.errors import ServingError


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Client]:
    rest = request.param == "rest"
    with Client.rest(f"127.0.0.1:{server.rest_port}") if rest else Client.grpc(f"127.0.0.1:{server.port}") as client:
        yield client


def test_missing_values_keep_their_place(client: Client) -> None:
    first, second = client.predict("labelled", [{"x": 1, "s": "é"}, {"s": None}], signature="two")
    assert first == {"total": [3.0], "text_bytes": ["é".encode()]}
    assert math.isnan(second["total"][0])


def test_bytes_round_trip(client: Client) -> None:
    [outputs] = client.predict("labelled", [{"x": 1, "s": b"\xff\x00"}], signature="two")
    assert outputs == {"total": [3.0], "text_bytes": [b"\xff\x00"]}


def test_single_output_is_named(client: Client) -> None:
    assert client.predict("labelled", [{"x": 1}, {"x": 2}], signature="serving_default") == [{"y": [2.5]}, {"y": [3.0]}]


def test_closed_client_has_no_connection(client: Client) -> None:
    client.status("labelled")
    transport: Any = client._transport
    client.close()
    if hasattr(transport, "_connection"):
        assert transport._connection.sock is None
    else:
        with pytest.raises(ValueError, match="closed"):
            client.status("labelled")


def test_version_and_label_select_the_version(client: Client) -> None:
    for choice in ({"version": 1}, {"label": "stable"}, {"label": "a/b: é%"}, {}):
        [outputs] = client.predict("labelled", [{"x": 1.0, "s": "a"}], signature="two", **choice)
        assert outputs["total"] == [3.0]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_this_machine_is_reached_without_the_users_proxy(
    server: Server, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:  # accepts connections, and never answers
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        connect, port = (Client.rest, server.rest_port) if protocol == "rest" else (Client.grpc, server.port)
        with connect(f"localhost:{port}") as client:
            assert client.status("labelled")


def test_control_characters_are_shown(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"x": 1}')
    options = [
        "predict",
        "--model=a\x1b[2Jb",
        f"--rows={tmp_path / 'rows.jsonl'}",
        f"--address=127.0.0.1:{server.port}",
    ]
    shown = CliRunner().invoke(cli, options).stderr
    assert "a\\x1b[2Jb" in shown
    assert "\x1b" not in shown


def test_no_rows_give_no_predictions(client: Client) -> None:
    assert client.predict("labelled", []) == []


def test_status_lists_the_versions_of_a_model(client: Client) -> None:
    assert client.status("labelled") == {4: "AVAILABLE", 1: "AVAILABLE"}


@pytest.mark.parametrize(
    ("model", "row", "signature", "message"),
    [
        ("tiny", {"y": 1}, "two", "row 0: unknown feature 'y'; expected one of s, x"),
        ("tiny", {"x": 1}, "no_such", "the model has no signature 'no_such'; expected one of"),
        ("tiny", {"x": "a"}, "two", "row 0, feature 'x': found 'a'; expected a value of DT_FLOAT"),
        ("tiny", {"x": True}, "two", "row 0, feature 'x': found True; expected a value of DT_FLOAT"),
        ("tiny", {"x": 10**400}, "two", "; expected a value of DT_FLOAT"),
        ("tiny", {"x": 1, "s": 1}, "two", "row 0, feature 's': found 1; expected a value of DT_STRING"),
        ("tiny", {"x": 1, "s": "\ud800"}, "two", "row 0, feature 's': found '\\ud800'; expected a value of DT_STRING"),
        ("tiny", {"x": 1, "s": {"a": 1}}, "two", "row 0, feature 's': found {'a': 1}; expected a value of DT_STRING"),
        ("nope", {"x": 1}, "two", "Servable not found for request: Latest(nope)"),
        ("no/such: é%", {"x": 1}, "two", "Servable not found for request: Latest(no/such: é%)"),
    ],
)
def test_rows_that_do_not_fit_are_rejected(
    client: Client, model: str, row: dict[str, float | str], signature: str, message: str
) -> None:
    with pytest.raises(ServingError) as caught:
        client.predict(model, [row], signature=signature)
    assert message in caught.value.message


@pytest.mark.parametrize("value", [1.5, 2.0, True, 2**63, -(2**63) - 1, "1"])
def test_integer_feature_accepts_only_integers(value: Any) -> None:
    with pytest.raises(ServingError, match=r"row 1, feature 'n': found .*; expected a value of DT_INT64"):
        _columns([{"n": 1}, {"n": value}], Signature("one", {"n": "DT_INT64"}, []))


def test_numpy_values_are_accepted() -> None:
    rows: list[dict[str, Any]] = [{"n": np.int32(4), "x": np.float32(0.5)}, {"n": None, "x": np.float64("nan")}]
    columns = _columns(rows, Signature("one", {"n": "DT_INT64", "x": "DT_FLOAT"}, []))
    assert columns["n"] == [[4], [-(2**63)]]
    assert columns["x"][0] == [0.5]
    assert math.isnan(columns["x"][1][0])


def test_lists_are_filled_up_to_the_longest(client: Client) -> None:
    rows: list[dict[str, Any]] = [{"n": [1, None, 3]}, {"n": 4}, {"n": []}, {}]
    found = client.predict("labelled", rows, signature="lists")
    missing = -(2**63)
    expected = [[1, missing, 3], [4, missing, missing], [missing] * 3, [missing] * 3]
    assert found == [{"n": row, "width": 3} for row in expected]
    assert client.predict("labelled", [{}], signature="lists") == [{"n": [missing], "width": 1}]
    with pytest.raises(ServingError, match="row 0, feature 'n': found 'x'; expected a value of DT_INT64"):
        client.predict("labelled", [{"n": [1, "x"]}], signature="lists")
    with pytest.raises(ServingError, match=r"found \[1\]; expected a value of DT_FLOAT"):
        client.predict("labelled", [{"x": [1]}], signature="serving_default")


def test_value_too_large_for_a_float_is_infinite(client: Client) -> None:
    assert client.predict("labelled", [{"x": 1e39}], signature="serving_default") == [{"y": [math.inf]}]


def test_invalid_address_is_reported() -> None:
    with pytest.raises(ServingError, match="found the address 'localhost:http'; expected HOST:PORT"):
        Client.rest("localhost:http")


def test_unreachable_server_is_reported() -> None:
    port = free_port()
    with pytest.raises(ServingError, match=f"127.0.0.1:{port}"):
        Client.rest(f"127.0.0.1:{port}").status("tiny")
    with pytest.raises(ServingError):
        Client.grpc(f"127.0.0.1:{port}", timeout_seconds=2).status("tiny")


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        ("{", 2, "error: --rows: line 1: Expecting property name"),
        ('{"x": 1}\n[1]', 2, "error: --rows: line 2: found list; expected a JSON object"),
        ('{"x": 1}', 1, "error: the model has no signature 'serve_raw'"),
    ],
)
def test_command_reports_an_error_in_one_line(
    server: Server, tmp_path: Path, lines: str, code: int, message: str
) -> None:
    (tmp_path / "rows").write_text(lines)
    options = ["predict", "--model=tiny", f"--rows={tmp_path / 'rows'}", f"--address=127.0.0.1:{server.port}"]
    result = CliRunner().invoke(cli, options)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1
