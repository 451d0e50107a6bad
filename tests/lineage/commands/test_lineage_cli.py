import json
import math
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT
from ml_metadata.metadata_store import MetadataStore
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tiny_runs import FAILED, FIRST, KILLED, MORE_STEPS, NEW_DATA, OTHER, SAME, story

from lineage.commands.cli import main


def asked(*arguments: str, output: Path | None = None) -> str:
    """What a command prints in a pipe."""
    result = CliRunner().invoke(main, [*arguments, f"--output={output or story().output}"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def as_json(*arguments: str) -> Any:
    return json.loads(asked(*arguments, "--json"))


def refused(*arguments: str, output: Path | None = None) -> str:
    """The one line of a refusal."""
    result = CliRunner().invoke(main, [*arguments, f"--output={output or story().output}"], catch_exceptions=False)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("error ")
    return line.removeprefix("error ")


@pytest.fixture(scope="module")
def version() -> str:
    """The one that more steps gave."""
    [found] = [each["version"] for each in as_json("runs") if each["run_id"] == MORE_STEPS]
    return str(found)


def test_runs_are_a_line_each_in_a_pipe(version: str) -> None:
    lines = asked("runs").splitlines()
    assert lines[0].split("\t") == ["run", "pipeline", "status", "time", "version", "metrics", "commit"]
    rows = {line.split("\t")[0]: line.split("\t") for line in lines[1:]}
    assert list(rows) == story().names[::-1]
    assert rows[MORE_STEPS][1:6] == ["taxi", "pushed", "2 s", version, "auc 0.1200"]
    assert rows[KILLED][2] == "interrupted"
    assert rows[FIRST][1:] == ["", "unknown", "", "", "", ""]
    assert len(asked("runs", "--limit=2").splitlines()) == 3


def test_runs_are_a_table_in_a_terminal() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "lineage", "runs", f"--output={story().output}"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    with subprocess.Popen(command, stdout=follower, cwd=ROOT, env=environment) as process:
        assert process.wait(60) == 0
        shown = os.read(leader, 100_000).decode()
    os.close(leader)
    os.close(follower)
    assert "┏" in shown
    assert "\x1b[31mfailed" in shown


def test_show_tells_origin_nodes_and_metrics(version: str) -> None:
    shown = asked("show", MORE_STEPS)
    assert re.search(r"command +python local_runner\.py\n", shown)
    assert f"version   {version}" in shown
    assert re.search(rf"\nTransform\tcached\t\S+ s\tTransform\.transform_graph:\d+, .*\t{FIRST}\n", shown)
    assert re.search(r"\nTrainer\tran\t\S+ s\tTrainer\.model:\d+, Trainer\.model_run:\d+\t\n", shown)
    assert "auc  0.12" in shown
    run = as_json("show", MORE_STEPS)
    assert run["origin"]["settings"]["training"]["steps"] == 120
    assert [each["same_as"] for each in run["nodes"] if each["node"] in ("Transform", "Trainer")] == [FIRST, None]
    assert "error     Trainer: found -1 steps" in asked("show", FAILED)
    assert as_json("show", FIRST)["origin"] is None
    assert as_json("show", "latest")["run_id"] == KILLED


def test_trace_tells_the_story_of_a_version(version: str) -> None:
    shown = asked("trace", version)
    assert shown.startswith(f"version {version}\n")
    for line in (
        r"read from +.*/\*\.csv",
        r"fingerprint +split:single_split,num_files:1",
        r"files +1 there now, not as they were",
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


def test_a_copy_is_told_without_a_store_as_far_as_its_own_file_goes(version: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(story().output / "serving/taxi" / version, copy)
    shown = asked("trace", str(copy), output=tmp_path)
    assert f"run_id      {MORE_STEPS}" in shown
    assert "No more than its own provenance.json says: " in shown
    assert "metadata.db: not there" in shown
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    MetadataStore(sqlite_metadata_connection_config(str(elsewhere / "metadata.db")))
    assert "does not know this version" in asked("trace", str(copy), output=elsewhere)
    assert "does not know this version" in refused("impact", str(copy), output=elsewhere)


def test_impact_tells_versions_models_and_failures(version: str) -> None:
    outputs = {each["node"]: each["outputs"] for each in as_json("show", MORE_STEPS)["nodes"]}
    [schema] = outputs["CuratedSchema"]
    shown = asked("impact", schema)
    assert shown.startswith(f"{schema} (Schema) of run {FIRST}: /")
    assert re.search(rf"\n{version}\t{MORE_STEPS}\t\S+/serving/taxi/{version}\t\n", shown)
    assert re.search(r"\n  TransformGraph +2\n", shown)
    assert re.search(rf"\n  runs +{FIRST}, {MORE_STEPS}, {NEW_DATA}, {FAILED}\n", shown)
    assert re.search(r"failed +Trainer:\d+\n", asked("impact", as_json("show", NEW_DATA)["nodes"][1]["outputs"][0]))
    assert as_json("impact", outputs["Trainer"][0])["versions"][0]["version"] == version
    assert "Nothing was made of it." in asked("impact", version)


def test_diff_tells_what_changed() -> None:
    shown = asked("diff", SAME, MORE_STEPS)
    assert "Settings\nwhat\tbefore\tafter\tnodes\ntraining.steps\t20\t120\t\n" in shown
    assert "auc\t0.02\t0.12\t+0.1\n" in shown
    assert "Trainer\tcached\tran\tno\n" in shown
    assert "are the same." in asked("diff", SAME, SAME)
    found = as_json("diff", SAME, MORE_STEPS)
    assert [(each["what"], each["before"], each["after"]) for each in found["changes"]] == [("training.steps", 20, 120)]


def test_why_tells_the_reason_and_what_it_goes_back_to() -> None:
    shown = asked("why", "Transform", f"--run={NEW_DATA}")
    assert f"Transform ran in run {NEW_DATA}: inputs changed (against run {MORE_STEPS})" in shown
    assert "which goes back to\nExampleGen ran" in shown
    assert as_json("why", "Trainer", f"--run={SAME}")["same_as"] == FIRST


def test_why_looks_at_the_newest_run_that_has_the_node() -> None:
    assert as_json("why", "Trainer")["run_id"] == OTHER  # not at the last, which was killed before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nope"), "run 'nope': there is none; the newest are run-7"),
        (("trace", "1999999999"), "1999999999: no such version or artifact; the newest versions are "),
        (("impact", "nope"), "'nope': expected a pushed version"),
        (("why", "Nope"), "'Nope': no such node ever ran; those that did are CuratedSchema"),
        (("why", "Pusher", f"--run={FAILED}"), f"'Pusher': not in run {FAILED}"),
        (("diff", SAME, "nope"), "run 'nope': there is none"),
    ],
)
def test_a_wrong_name_is_one_line_with_those_that_are_there(arguments: tuple[str, ...], said: str) -> None:
    assert refused(*arguments).startswith(said)
    assert refused(*arguments, "--json").startswith(said)


@pytest.mark.parametrize(
    "command", [("runs",), ("show", "latest"), ("trace", "17"), ("impact", "17"), ("why", "Trainer")]
)
def test_a_store_that_cannot_be_read_is_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    assert "metadata.db: not there" in refused(*command, output=tmp_path)
    (tmp_path / "metadata.db").write_bytes(b"no database")
    assert "no SQLite database" in refused(*command, output=tmp_path)
    (tmp_path / "metadata.db").write_bytes(b"SQLite format 3\0" + b"broken" * 1000)
    assert "\n" not in refused(*command, output=tmp_path)


@pytest.mark.parametrize("command", ["show", "trace", "impact", "why"])
def test_names_with_line_breaks_or_of_other_bytes_end_in_one_line(command: str) -> None:
    assert "a b" in refused(command, "a\nb")
    assert "not UTF-8" in refused(command, "/a.\udcff")


def test_a_store_without_runs_is_one_line(tmp_path: Path) -> None:
    MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.db"))).get_contexts()
    for command in (("runs",), ("show", "latest"), ("diff", "a", "b")):
        assert "no run is in this store yet" in refused(*command, output=tmp_path)
    assert "nothing was pushed yet" in refused("trace", "17", output=tmp_path)


@pytest.mark.parametrize(
    ("argument", "code", "said"),
    [("--help", 0, "Commands:"), ("show", 2, "Missing argument 'RUN'"), ("nope", 2, "nope")],
)
def test_help_and_wrong_usage_answer_within_a_second(argument: str, code: int, said: str) -> None:
    best = math.inf
    for _ in range(3):
        start = time.monotonic()
        command = [sys.executable, "-X", "importtime", "-m", "lineage", argument]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        best = min(best, time.monotonic() - start)
        assert result.returncode == code
        assert said in result.stdout + result.stderr
        assert "ml_metadata" not in result.stderr
    assert best < 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m lineage impact CuratedSchema.schema --output={story().output} | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.stdout.startswith("CuratedSchema.schema:")
    assert result.stderr == ""


def test_an_empty_output_is_refused() -> None:
    result = CliRunner().invoke(main, ["runs", "--output="])
    assert result.exit_code == 2
    assert "found ''; expected the output folder of the runs" in result.stderr
