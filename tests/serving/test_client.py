import math
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from server_process import Server, free_port

from serving.client import Client, cli
from serving.errors import ServingError


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    base = tmp_path_factory.mktemp("tiny")
    (base / "1").symlink_to(tiny)
    (base / "4").symlink_to(tiny)
    config = base / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "tiny" base_path: "{base}" model_platform: "tensorflow" '
        'model_version_policy { all {} } version_labels { key: "stable" value: 1 } } }'
    )
    return serve(f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models")


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, server: Server) -> Client:
    if request.param == "rest":
        return Client.rest(f"127.0.0.1:{server.rest_port}")
    return Client.grpc(f"127.0.0.1:{server.port}")


def test_rows_are_answered_with_missing_values_in_their_place(client: Client) -> None:
    first, second = client.predict("tiny", [{"x": 1, "s": "é"}, {"s": None}], signature="two")
    assert first["total"] == [3.0]
    assert math.isnan(second["total"][0])


def test_a_version_and_a_label_may_be_asked_for(client: Client) -> None:
    for choice in ({"version": 1}, {"label": "stable"}, {}):
        [answer] = client.predict("tiny", [{"x": 1.0, "s": "a"}], signature="two", **choice)
        assert answer["total"] == [3.0]


def test_no_rows_are_no_answers(client: Client) -> None:
    assert client.predict("tiny", []) == []


def test_status_is_told(client: Client) -> None:
    assert client.status("tiny") == {4: "AVAILABLE", 1: "AVAILABLE"}


@pytest.mark.parametrize(
    ("model", "row", "signature", "said"),
    [
        ("tiny", {"y": 1}, "two", "row 0: unknown feature 'y'; expected some of s, x"),
        ("tiny", {"x": 1}, "no_such", "the model has no signature 'no_such'; expected one of"),
        ("tiny", {"x": "a"}, "two", "float"),
        ("nope", {"x": 1}, "two", "Servable not found for request: Latest(nope)"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    client: Client, model: str, row: dict[str, float | str], signature: str, said: str
) -> None:
    with pytest.raises(ServingError) as caught:
        client.predict(model, [row], signature=signature)
    assert said in caught.value.message


def test_a_server_that_is_not_there_is_named() -> None:
    port = free_port()
    with pytest.raises(ServingError, match=f"127.0.0.1:{port}"):
        Client.rest(f"127.0.0.1:{port}").status("tiny")
    with pytest.raises(ServingError):
        Client.grpc(f"127.0.0.1:{port}", seconds=2).status("tiny")


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ("{", 2, "error: --rows: line 1: Expecting property name"),
        ('{"x": 1}\n[1]', 2, "error: --rows: line 2: found list; expected a JSON object"),
        ('{"x": 1}', 1, "error: the model has no signature 'serve_raw'"),
    ],
)
def test_the_command_refuses_in_one_line(server: Server, tmp_path: Path, lines: str, code: int, said: str) -> None:
    (tmp_path / "rows").write_text(lines)
    options = ["predict", "--model=tiny", f"--rows={tmp_path / 'rows'}", f"--address=127.0.0.1:{server.port}"]
    result = CliRunner().invoke(cli, options)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == 1
