import dataclasses

import pytest

from serving.__main__ import main
from serving.flags import TOKEN_VARIABLE, Flags, OptionError, parse


def test_flags_have_values_and_booleans_may_omit_them() -> None:
    flags = parse(["--port=9000", "--model_name=taxi", "--enable_batching", "--enable_model_warmup=false"])
    assert flags == dataclasses.replace(
        Flags(), port=9000, model_name="taxi", enable_batching=True, enable_model_warmup=False
    )


@pytest.mark.parametrize("argument", ["--no_such_flag=1", "--port", "9000", "-port=9000", "--model_name"])
def test_unknown_argument_is_reported_and_ignored(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse([argument]) == Flags()
    assert capsys.readouterr().err == f"unknown argument: {argument}\n"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--port=x", "--port: found 'x'; expected an integer"),
        ("--port=", "--port: found ''; expected an integer"),
        ("--port=99999", "--port: found '99999'; expected an integer from 0 to 65535"),
        ("--port=19_801", "--port: found '19_801'"),
        ("--max_num_load_retries=-1", "expected an integer from 0"),
        ("--tensorflow_intra_op_parallelism=99999999999", "expected an integer from 0 to 4096"),
        ("--file_system_poll_wait_seconds=99999999999999999999", "expected an integer from 0"),
        ("--enable_batching=maybe", "--enable_batching: found 'maybe'; expected true or false"),
    ],
)
def test_value_of_the_wrong_type_is_rejected(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse([argument])


def test_help_describes_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  --port=8500" in lines
    assert "  --enable_batching=false" in lines
    for field in dataclasses.fields(Flags):
        [place] = [number for number, line in enumerate(lines) if line.startswith(f"  --{field.name}=")]
        assert lines[place + 1].startswith("      ")


def test_environment_sets_flags_and_the_command_line_wins() -> None:
    environment = {
        "ONEGRAPH_SERVING_PORT": "9000",
        "ONEGRAPH_SERVING_REST_API_PORT": "9001",
        "ONEGRAPH_SERVING_ENABLE_BATCHING": "true",
        "ONEGRAPH_SERVING_MODEL_NAME": "",  # counts as not set
        TOKEN_VARIABLE: "secret",
        "OTHER_SERVING_PORT": "1",
    }
    flags = parse(["--port=9100"], environment)
    assert flags == dataclasses.replace(Flags(), port=9100, rest_api_port=9001, enable_batching=True)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("ONEGRAPH_SERVING_PROT", "1", "there is no such flag; did you mean ONEGRAPH_SERVING_PORT?"),
        ("ONEGRAPH_SERVING_port", "1", "there is no such flag; did you mean ONEGRAPH_SERVING_PORT?"),
        ("ONEGRAPH_SERVING_BATCHING", "1", "did you mean ONEGRAPH_SERVING_ENABLE_BATCHING?"),
        ("ONEGRAPH_SERVING_TOKEN", "1", "did you mean ONEGRAPH_SERVING_BEARER_TOKEN?"),
        ("ONEGRAPH_SERVING_", "1", "did you mean ONEGRAPH_SERVING_"),
        ("ONEGRAPH_SERVING_PORT", "x", "ONEGRAPH_SERVING_PORT: found 'x'; expected an integer from 0 to 65535"),
        ("ONEGRAPH_SERVING_ENABLE_BATCHING", "yes", "found 'yes'; expected true or false"),
    ],
)
def test_variable_that_is_no_flag_ends_the_server_with_2(
    variable: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, text)
    assert main(["--model_base_path=/a"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: environment variable {variable}: ")
    assert message in line


def test_variables_of_a_kubernetes_service_are_no_flags() -> None:
    links = {
        "ONEGRAPH_SERVING_PORT": "tcp://10.0.0.1:8500",
        "ONEGRAPH_SERVING_SERVICE_HOST": "10.0.0.1",
        "ONEGRAPH_SERVING_SERVICE_PORT": "8500",
        "ONEGRAPH_SERVING_SERVICE_PORT_GRPC": "8500",
        "ONEGRAPH_SERVING_PORT_8500_TCP": "tcp://10.0.0.1:8500",
        "ONEGRAPH_SERVING_PORT_8500_TCP_ADDR": "10.0.0.1",
        "ONEGRAPH_SERVING_CANARY_PORT": "tcp://10.0.0.2:8500",
        "ONEGRAPH_SERVING_CANARY_SERVICE_HOST": "10.0.0.2",
    }
    assert parse([], links) == Flags()


@pytest.mark.parametrize("argument", ["--max_calls_per_model=-1", "--enable_grpc_reflection=2", "--lame_duck_seconds="])
def test_mistake_in_an_operators_flag_is_an_option_error(argument: str) -> None:
    with pytest.raises(OptionError, match=argument.partition("=")[0]):
        parse([argument])
