"""Runs that are refused before the first node, or stopped by the data."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT, Finished, arguments, run, run_in_new_process

import local_runner

pytestmark = pytest.mark.e2e

EXECUTED = ("Transform", "Tuner", "Trainer", "Evaluator", "Pusher")


def refusal(output: Path, *options: str, **settings: Any) -> Finished:
    """The result of a command that imports nothing heavy, run in this process."""
    result = CliRunner().invoke(local_runner.main, arguments(output, *options, **settings)[2:])
    assert isinstance(result.exception, SystemExit), result.exception
    return Finished(result.exit_code, result.stdout, result.stderr)


def test_category_outside_its_domain_stops_before_transform(table: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(table, bad)
    path = bad / "taxi.csv"
    path.write_text(path.read_text().replace("Credit Card", "Kredit Card"))
    stopped = run(tmp_path / "out", f"--data={bad}", "--json")
    assert stopped.code == 3
    assert stopped.summary["status"] == "anomalies"
    assert stopped.states["AnomalyGate"] == "failed"
    assert {stopped.states[node] for node in EXECUTED} == {"skipped"}
    line = next(line for line in stopped.stderr.splitlines() if "Kredit Card" in line)
    assert "payment_type" in line
    assert "Credit Card, Dispute" in line
    assert not (tmp_path / "out/serving").exists()


@pytest.fixture(scope="module")
def corrected(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Finished]:
    """Output folder, table and result of a run of a table that an earlier run had refused."""
    folder = tmp_path_factory.mktemp("corrected")
    data, output = folder / "data", folder / "out"
    shutil.copytree(table, data)
    good = (data / "taxi.csv").read_text()
    (data / "taxi.csv").write_text(good.replace("Credit Card", "Kredit Card"))
    assert run(output, f"--data={data}", "--to=AnomalyGate").code == 3
    (data / "taxi.csv").write_text(good)
    return output, data, run(output, f"--data={data}", "--to=AnomalyGate", "--json")


@pytest.mark.slow
def test_corrected_table_passes_and_no_cache_runs_every_node_again(corrected: tuple[Path, Path, Finished]) -> None:
    output, data, passed = corrected
    assert passed.code == 0
    options = (f"--data={data}", "--to=AnomalyGate", "--json")
    cached = run(output, *options)
    again = run(output, *options, "--no-cache")
    nodes = ("ExampleGen", "StatisticsGen", "ExampleValidator", "AnomalyGate")
    assert [[result.states[node] for node in nodes] for result in (passed, cached, again)] == [
        ["ran"] * 4,
        ["cached"] * 4,
        ["ran"] * 4,
    ]


@pytest.mark.slow
def test_constant_label_is_refused_in_one_line(corrected: tuple[Path, Path, Finished]) -> None:
    output, data, _ = corrected
    failed = run(output, f"--data={data}", "--json", label__above={"value": 1e9})
    assert failed.code == 2
    assert failed.summary["status"] == "failed"
    assert "column 'tips': found rows of one class only (ordinary " in failed.summary["error"]
    assert "\n" not in failed.summary["error"]
    assert failed.summary["error"] in failed.stderr.replace("\n", "")
    assert "Traceback" not in failed.stderr
    assert not (output / "serving").exists()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("empty.csv", "", "empty.csv: the file is empty"),
        ("header.csv", "fare,tips\n", "found a header and no rows"),
        ("ragged.csv", "fare,tips\n1,2\n1,2,3\n", "line 3: found 3 values; expected 2"),
        ("label.csv", "fare,tipps\n1,2\n", "unknown label column 'tips'"),
    ],
)
def test_unusable_table_is_refused_before_anything_runs(tmp_path: Path, name: str, text: str, expected: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text(text)
    refused = refusal(tmp_path / "out", f"--data={data}")
    assert refused.code == 2
    assert expected in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_command_prints_nothing_but_the_refusal(tmp_path: Path) -> None:
    """In a process of its own, since native libraries write past Python's standard error."""
    (tmp_path / "ragged.csv").write_text("fare,tips\n1,2\n1,2,3\n")
    refused = run_in_new_process(arguments(tmp_path / "out", f"--data={tmp_path}"))
    assert (refused.code, refused.stdout) == (2, "")
    [line] = refused.stderr.strip().splitlines()
    assert "line 3: found 3 values; expected 2" in line


def test_ctrl_c_during_the_checks_is_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("pipeline.preflight.preflight.preflight", interrupted)
    stopped = refusal(tmp_path / "out", "--json")
    assert stopped.code == 130
    assert stopped.summary["error"] == "interrupted before the first node"
    assert stopped.stderr == "error interrupted before the first node\n"


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "out", f"--data={tmp_path / 'gone'}", "--json")
    assert refused.code == 2
    assert refused.summary["status"] == "failed"
    assert "found nothing; expected a folder" in refused.summary["error"]


def test_misspelled_setting_is_reported_with_the_nearest(tmp_path: Path) -> None:
    refused = run_in_new_process(arguments(tmp_path, training__stepz=3))
    assert refused.code == 2
    assert "did you mean 'steps'?" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_invalid_database_is_refused_and_kept(table: Path, tmp_path: Path) -> None:
    (tmp_path / "metadata.db").write_bytes(b"not a database" * 100)
    refused = refusal(tmp_path, f"--data={table}", "--to=CuratedSchema", "--json")
    assert refused.code == 2
    assert "not an SQLite database" in refused.summary["error"]
    assert (tmp_path / "metadata.db").read_bytes().startswith(b"not a database")


def test_unreachable_database_server_is_refused_before_anything_runs(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEGRAPH_METADATA_PASSWORD", "hush")
    server = {"kind": "postgresql", "host": "localhost", "port": 1, "database": "onegraph", "user": "taxi"}
    refused = refusal(tmp_path, f"--data={table}", "--json", metadata=server)
    assert refused.code == 2
    expected = "metadata: postgresql://taxi@localhost:1/onegraph: cannot be reached ("
    assert refused.summary["error"].startswith(expected)
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "hush" not in refused.stdout + refused.stderr
    assert not (tmp_path / "runs").exists()


def test_help_lists_options_and_exit_codes() -> None:
    shown = subprocess.run(
        [sys.executable, str(ROOT / "local_runner.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in ("--config", "--data", "--output", "--set", "--tune / --no-tune", "--from", "--to", "--no-cache"):
        assert option in shown
    assert "4 the model was not blessed" in shown
