import json
import math
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT
from ml_metadata.metadata_store import MetadataStore
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tiny_runs import FAILED, FIRST, KILLED, MORE_STEPS, NEW_DATA, OTHER, SAME, shared_runs

from lineage.commands.cli import main
from lineage.commands.printer import Printer, print_json

NOBODY = 65_534


def printed(*arguments: str, output: Path | None = None) -> str:
    """Returns what a command prints to a pipe."""
    result = CliRunner().invoke(
        main, [*arguments, f"--output={output or shared_runs().output}"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def as_json(*arguments: str) -> Any:
    return json.loads(printed(*arguments, "--json"))


def refused(*arguments: str, output: Path | None = None) -> str:
    """Returns the one line that a refused command prints."""
    result = CliRunner().invoke(
        main, [*arguments, f"--output={output or shared_runs().output}"], catch_exceptions=False
    )
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("error ")
    return line.removeprefix("error ")


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Path]:
    """An output folder that this process may not see. Root may see everything, so it gives up its rights."""
    refused("runs", output=tmp_path / "none")  # imports what the command needs
    folder = tmp_path / "private"
    folder.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    yield folder / "output"
    os.seteuid(user)
    folder.chmod(0o700)


def test_unreadable_folder_is_refused_in_one_line(unreadable: Path) -> None:
    assert refused("runs", output=unreadable).startswith(
        f"{unreadable}: Permission denied; expected a folder and files"
    )


def test_a_folder_whose_name_is_too_long_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)
    assert refused(
        "runs", output=folder
    ) == f"{folder}: File name too long; expected a folder and files that you may " + ("read (--output)")


def test_control_characters_are_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"na\x1bme": "va\x9blue"}
    Printer().pairs("ti\x1btle", rows)
    Printer().table("ti\x1btle", list(rows), [list(rows.values())])
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    Printer().table("", ["name"], [["\x1b[2J"]])
    print_json(rows)
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown
    assert {"na\\x1bme  va\\x9blue", "va\\x9blue", "ti\\x1btle"} <= {line.strip() for line in shown.splitlines()}
    assert "│ \\x1b[2J │" in shown, "the cell is as wide as what is shown"
    assert '"va\\u009blue"' in shown


@pytest.fixture(scope="module")
def version() -> str:
    """The version that the run with more steps pushed."""
    [found] = [each["version"] for each in as_json("runs") if each["run_id"] == MORE_STEPS]
    return str(found)


def test_runs_are_one_line_each_in_a_pipe(version: str) -> None:
    lines = printed("runs").splitlines()
    assert lines[0].split("\t") == ["run", "pipeline", "status", "time", "version", "metrics", "commit"]
    rows = {line.split("\t")[0]: line.split("\t") for line in lines[1:]}
    assert list(rows) == shared_runs().names[::-1]
    assert rows[MORE_STEPS][1:6] == ["taxi", "pushed", "2 s", version, "auc 0.1200"]
    assert rows[KILLED][2] == "interrupted"
    assert rows[FIRST][1:] == ["", "unknown", "", "", "", ""]
    assert len(printed("runs", "--limit=2").splitlines()) == 3


def test_runs_are_a_table_in_a_terminal() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "lineage", "runs", f"--output={shared_runs().output}"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    with subprocess.Popen(command, stdout=follower, cwd=ROOT, env=environment) as process:
        assert process.wait(60) == 0
        shown = os.read(leader, 100_000).decode()
    os.close(leader)
    os.close(follower)
    assert "┏" in shown
    assert "\x1b[31mfailed" in shown


def test_show_prints_origin_nodes_and_metrics(version: str) -> None:
    shown = printed("show", MORE_STEPS)
    assert re.search(r"command +python local_runner\.py\n", shown)
    assert f"version   {version}" in shown
    assert re.search(rf"\nTransform\tcached\t\S+ s\tTransform\.transform_graph:\d+, .*\t{FIRST}\n", shown)
    assert re.search(r"\nTrainer\tran\t\S+ s\tTrainer\.model:\d+, Trainer\.model_run:\d+\t\n", shown)
    assert "auc  0.12" in shown
    run = as_json("show", MORE_STEPS)
    assert run["origin"]["settings"]["training"]["steps"] == 120
    assert [each["same_as"] for each in run["nodes"] if each["node"] in ("Transform", "Trainer")] == [FIRST, None]
    assert "error     Trainer: found -1 steps" in printed("show", FAILED)
    assert as_json("show", FIRST)["origin"] is None
    assert as_json("show", "latest")["run_id"] == KILLED


def test_trace_prints_where_a_version_came_from(version: str) -> None:
    shown = printed("trace", version)
    assert shown.startswith(f"version {version}\n")
    for line in (
        r"read from +.*/\*\.csv",
        r"fingerprint +split:single_split,num_files:1",
        r"files +1 found, changed since",
        r"train +70",
        r"steps +120",
        r"auc +0\.12",
        r"Evaluator\tblessed",
        rf"Trainer\.model:\d+\t\d+\t{FIRST}",  # the baseline
    ):
        assert re.search(line, shown), line
    found = as_json("trace", version)
    assert found["story"]["version"] == found["provenance"]["version"] == version
    assert found["provenance"]["run_id"] == found["story"]["artifact"]["run_id"] == MORE_STEPS
    assert found["note"] is None


def test_trace_of_a_copy_without_a_store_prints_its_provenance(version: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shared_runs().output / "serving/taxi" / version, copy)
    shown = printed("trace", str(copy), output=tmp_path)
    assert f"run_id      {MORE_STEPS}" in shown
    assert "This is all that its provenance.json has. There is no trace: " in shown
    assert "metadata.db: not found" in shown
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    MetadataStore(sqlite_metadata_connection_config(str(elsewhere / "metadata.db")))
    assert "does not have this version" in printed("trace", str(copy), output=elsewhere)
    assert "does not have this version" in refused("impact", str(copy), output=elsewhere)


def test_impact_prints_versions_models_and_failures(version: str) -> None:
    outputs = {each["node"]: each["outputs"] for each in as_json("show", MORE_STEPS)["nodes"]}
    [schema] = outputs["CuratedSchema"]
    shown = printed("impact", schema)
    assert shown.startswith(f"{schema} (Schema) of run {FIRST}: /")
    assert re.search(rf"\n{version}\t{MORE_STEPS}\t\S+/serving/taxi/{version}\t\n", shown)
    assert re.search(r"\n  TransformGraph +2\n", shown)
    assert re.search(rf"\n  runs +{FIRST}, {MORE_STEPS}, {NEW_DATA}, {FAILED}\n", shown)
    assert re.search(r"failed +Trainer:\d+\n", printed("impact", as_json("show", NEW_DATA)["nodes"][1]["outputs"][0]))
    assert as_json("impact", outputs["Trainer"][0])["versions"][0]["version"] == version
    assert "Nothing was made from it." in printed("impact", version)


def test_diff_prints_what_changed() -> None:
    shown = printed("diff", SAME, MORE_STEPS)
    assert "Settings\nname\tbefore\tafter\tnodes\ntraining.steps\t20\t120\t\n" in shown
    assert "auc\t0.02\t0.12\t+0.1\n" in shown
    assert "Trainer\tcached\tran\tno\n" in shown
    assert "are the same." in printed("diff", SAME, SAME)
    found = as_json("diff", SAME, MORE_STEPS)
    assert [(each["what"], each["before"], each["after"]) for each in found["changes"]] == [("training.steps", 20, 120)]


def test_why_prints_the_reason_and_the_reasons_upstream() -> None:
    shown = printed("why", "Transform", f"--run={NEW_DATA}")
    assert f"Transform ran in run {NEW_DATA}: inputs changed (compared with run {MORE_STEPS})" in shown
    assert "because upstream\nExampleGen ran" in shown
    assert as_json("why", "Trainer", f"--run={SAME}")["same_as"] == FIRST


def test_why_uses_the_newest_run_that_has_the_node() -> None:
    assert as_json("why", "Trainer")["run_id"] == OTHER  # not the last run, which was killed before its Trainer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nope"), "run 'nope': not found; expected 'latest' or a run such as run-7"),
        (("trace", "1999999999"), "1999999999: no such version or artifact; the newest versions are "),
        (("impact", "nope"), "'nope': expected a pushed version"),
        (("why", "Nope"), "'Nope': no node of this name ever ran; the nodes that ran are CuratedSchema"),
        (("why", "Pusher", f"--run={FAILED}"), f"'Pusher': not in run {FAILED}"),
        (("diff", SAME, "nope"), "run 'nope': not found"),
    ],
)
def test_a_wrong_name_is_refused_with_valid_names_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    assert refused(*arguments).startswith(message)
    assert refused(*arguments, "--json").startswith(message)


@pytest.mark.parametrize(
    "command", [("runs",), ("show", "latest"), ("trace", "17"), ("impact", "17"), ("why", "Trainer")]
)
def test_a_store_that_cannot_be_read_is_refused_in_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    assert "metadata.db: not found" in refused(*command, output=tmp_path)
    (tmp_path / "metadata.db").write_bytes(b"no database")
    assert "not an SQLite database" in refused(*command, output=tmp_path)
    (tmp_path / "metadata.db").write_bytes(b"SQLite format 3\0" + b"broken" * 1000)
    assert "\n" not in refused(*command, output=tmp_path)


@pytest.mark.parametrize("command", ["show", "trace", "impact", "why"])
def test_names_with_line_breaks_or_invalid_bytes_are_refused_in_one_line(command: str) -> None:
    assert "a b" in refused(command, "a\nb")
    assert "not UTF-8" in refused(command, "/a.\udcff")


def test_a_store_without_runs_is_refused_in_one_line(tmp_path: Path) -> None:
    MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.db"))).get_contexts()
    for command in (("runs",), ("show", "latest"), ("diff", "a", "b")):
        expected = f"{tmp_path}: the store has no runs yet; start one with local_runner.py"
        assert refused(*command, output=tmp_path) == expected
    assert "nothing was pushed yet" in refused("trace", "17", output=tmp_path)


@pytest.mark.parametrize(
    ("argument", "code", "message"),
    [("--help", 0, "Commands:"), ("show", 2, "Missing argument 'RUN'"), ("nope", 2, "nope")],
)
def test_help_and_usage_errors_take_less_than_a_second(argument: str, code: int, message: str) -> None:
    best = math.inf
    for _ in range(3):
        start = time.monotonic()
        command = [sys.executable, "-X", "importtime", "-m", "lineage", argument]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        best = min(best, time.monotonic() - start)
        assert result.returncode == code
        assert message in result.stdout + result.stderr
        assert "ml_metadata" not in result.stderr
    assert best < 1


def test_a_pipe_that_is_closed_early_is_not_an_error() -> None:
    command = f"{sys.executable} -m lineage impact CuratedSchema.schema --output={shared_runs().output} | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.stdout.startswith("CuratedSchema.schema:")
    assert result.stderr == ""


def test_an_empty_output_is_refused() -> None:
    result = CliRunner().invoke(main, ["runs", "--output="])
    assert result.exit_code == 2
    assert "found ''; expected the output folder of the runs" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("latest", "--json"), ("--help",)])
def test_html_names_the_command_that_replaced_it(arguments: tuple[str, ...]) -> None:
    assert "'python -m reports RUN --output DIR'" in refused("html", *arguments)
