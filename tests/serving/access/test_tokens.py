from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc
from server_process import Embedded, free_port
from tensorflow_serving.apis import model_management_pb2

from serving.access.tokens import read_tokens
from serving.client.cli import cli
from serving.flags import TOKEN_VARIABLE, Flags, OptionError, parse
from serving.server import ModelServer

STATUS = "/v1/models/tiny"
REFUSED = grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("first-token\n\n  second.token== \n")
    return path


def reload(server: Embedded, *metadata: tuple[str, str]) -> grpc.StatusCode:
    """Asks for a configuration without models, and returns the status."""
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.SetInParent()
    try:
        server.models.HandleReloadConfigRequest(request, metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_only_a_token_of_the_file_allows_to_change_the_models(
    embed: Callable[..., Embedded], model_flags: list[str], token_file: Path
) -> None:
    server = embed(*model_flags, f"--bearer_token_file={token_file}")
    wrong: list[tuple[tuple[str, str], ...]] = [
        (),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer first-toke"),),
        (("authorization", "Bearer first-token2"),),
        (("authorization", "Bearer second.token"),),
        (("authorization", "Basic first-token"),),
        (("authorization", "first-token"),),
        (("authorization", "Bearer first-token"), ("authorization", "Bearer x")),
        (("token", "first-token"),),
    ]
    for metadata in wrong:
        assert reload(server, *metadata) == REFUSED, metadata
    assert server.predict() == [2.5]
    assert server.json("GET", STATUS)[0] == 200
    assert reload(server, ("authorization", "bearer first-token")) == grpc.StatusCode.OK
    server.wait_for(lambda: server.states() == {1: "END"})
    assert reload(server, ("authorization", "Bearer second.token==")) == grpc.StatusCode.OK


def test_all_calls_but_health_checks_need_the_token_on_request(
    embed: Callable[..., Embedded], model_flags: list[str], token_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    (tmp_path / "rows").write_text("{}")
    server = embed(
        *model_flags,
        f"--bearer_token_file={token_file}",
        "--require_token_for_all_calls",
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        "--enable_grpc_healthcheck_service",
        "--enable_rest_health_checks",
        "--rest_api_enable_cors_support",
    )
    for call in (server.predict, server.states):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() == REFUSED
    health = health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert server.rest("GET", "/readyz")[0] == 200
    for path in (STATUS, "/v1/models/tiny:predict", "/monitoring/prometheus/metrics", "/"):
        status, _, headers = server.rest_headers("GET", path, Authorization="Bearer x")
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert server.rest("GET", STATUS, Authorization="Bearer first-token")[0] == 200
    status, _, headers = server.rest_headers("OPTIONS", STATUS, Origin="http://elsewhere")
    assert (status, headers["Access-Control-Allow-Headers"]) == (200, "Content-Type, Authorization")
    for protocol, port in (("grpc", server.port), ("rest", server.rest_port)):
        command = ["predict", "--model=absent", f"--protocol={protocol}", f"--address=127.0.0.1:{port}"]
        command.append(f"--rows={tmp_path / 'rows'}")
        for environment, options, message in (
            ({}, [], "missing bearer token"),
            ({TOKEN_VARIABLE: "x"}, [], "invalid bearer token"),
            ({TOKEN_VARIABLE: "first-token"}, [], "Servable not found"),
            ({}, [f"--token-file={token_file}"], "Servable not found"),
        ):
            result = CliRunner().invoke(cli, [*command, *options], env=environment)
            assert (result.exit_code, message in result.stderr) == (1, True), result.stderr


def test_variable_takes_the_place_of_the_file() -> None:
    tokens = read_tokens(Flags(), {TOKEN_VARIABLE: "secret"})
    assert tokens.for_changes
    assert not tokens.for_all_calls
    assert tokens.refusal(["Bearer secret"]) is None
    assert tokens.refusal(["Bearer Secret"]) == "invalid bearer token"
    assert not read_tokens(Flags(), {TOKEN_VARIABLE: ""}).for_changes


def test_environment_alone_configures_a_server(model_flags: list[str], tmp_path: Path) -> None:
    port, rest_port = free_port(), free_port()
    environment = {
        "ONEGRAPH_SERVING_PORT": str(port),
        "ONEGRAPH_SERVING_REST_API_PORT": str(rest_port),
        "ONEGRAPH_SERVING_ADDRESS": "127.0.0.1",
        "ONEGRAPH_SERVING_MODEL_NAME": "tiny",
        "ONEGRAPH_SERVING_MODEL_BASE_PATH": str(tmp_path / "base"),
        TOKEN_VARIABLE: "secret",
    }
    server = Embedded(port, rest_port, tmp_path / "log", ModelServer(parse([], environment), environment))
    server.server.start()
    try:
        assert server.predict() == [2.5]
        assert server.json("GET", STATUS)[0] == 200
        assert reload(server) == REFUSED
        assert reload(server, ("authorization", "Bearer secret")) == grpc.StatusCode.OK
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("content", "flags", "variable", "message"),
    [
        ("a b", {}, "", "--bearer_token_file: FILE: token 1: expected 1 to 4096 printable ASCII characters, no spaces"),
        ("a\né", {}, "", "token 2: expected"),
        (" \n", {}, "", "found 0 tokens; expected 1 to 100, one per line"),
        (None, {}, "", "FILE: No such file or directory; expected a text file with one token per line"),
        ("a", {}, "b", f"found both --bearer_token_file and {TOKEN_VARIABLE}; expected one of them"),
        ("", {"bearer_token_file": ""}, "a b", f"environment variable {TOKEN_VARIABLE}: token 1: expected"),
        (
            "",
            {"bearer_token_file": "", "require_token_for_all_calls": True},
            "",
            f"--require_token_for_all_calls: expected --bearer_token_file or {TOKEN_VARIABLE}",
        ),
    ],
)
def test_mistakes_are_reported_without_the_token(
    tmp_path: Path, content: str | None, flags: dict[str, Any], variable: str, message: str
) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OptionError) as caught:
        read_tokens(Flags(**{"bearer_token_file": str(path)} | flags), {TOKEN_VARIABLE: variable})
    text = str(caught.value).replace(str(path), "FILE")
    assert message in text
    assert "a b" not in text
