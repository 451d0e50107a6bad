import dataclasses

import pytest

from serving.__main__ import main
from serving.flags import Flags, parse


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
