"""Runs that were stopped or killed: the same command completes them."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf
from conftest import ROOT, arguments, kill_in, run, wait_for
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.store.connection import open_reader
from serving.edge import load

pytestmark = pytest.mark.e2e

FAILED = metadata_store_pb2.Execution.FAILED
# Seconds into the work of a node, about a sixth of it. After each kill, the nodes before it are cached.
KILLED_IN = (
    ("ExampleGen", 0.05),
    ("StatisticsGen", 0.3),
    ("Transform", 1.0),
    ("Tuner", 0.5),
    ("Trainer", 0.5),
    ("Evaluator", 0.5),
    ("TfliteExporter", 0.5),
    ("Pusher", 0.0),
)
TAKES_A_MOMENT = {"Pusher"}  # it may have ended before the kill


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_running_command_locks_the_output_and_resumes_after_a_stop(
    table: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    options = (f"--data={table}", "--to=SchemaGen")
    with subprocess.Popen(
        arguments(tmp_path, *options, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        wait_for(tmp_path, "", process)
        second = run(tmp_path, *options)
        wait_for(tmp_path, "Node ExampleGen starts", process)
        process.send_signal(stop)
        shown, errors = process.communicate()
    assert second.code == 2
    assert "another run is using it" in second.stderr
    assert process.returncode == 130
    assert json.loads(shown)["error"] == "interrupted"
    assert b"interrupted; run the same command to resume" in errors
    code, text = run_in_terminal(arguments(tmp_path, *options))
    assert code == 0, text
    assert "StatisticsGen" in text
    assert "INFO:" not in text
    assert "WARNING" not in text


def run_in_terminal(command: list[str]) -> tuple[int, str]:
    """Runs a command in a pseudo-terminal; returns the exit code and what it showed."""
    terminal, terminal_end = pty.openpty()
    with subprocess.Popen(command, stdout=terminal_end, stderr=terminal_end, cwd=ROOT) as process:
        os.close(terminal_end)
        shown = b""
        try:
            while chunk := os.read(terminal, 65536):
                shown += chunk
        except OSError:  # the other end is closed
            pass
    os.close(terminal)
    return process.returncode, shown.decode()


@pytest.mark.slow
def test_same_command_completes_after_a_kill_in_any_node(table: Path, tmp_path: Path) -> None:
    options = (f"--data={table}", "--set=tflite.enabled=true", "--json")
    for node, after in KILLED_IN:
        kill_in(node, tmp_path, *options, after=after)
    completed = run(tmp_path, *options)
    assert completed.code == 0, completed.stderr
    assert completed.summary["status"] == "pushed"
    assert_store_is_whole(tmp_path)
    runs = open_reader(tmp_path).runs()
    assert [run.status for run in runs] == ["pushed", *["interrupted"] * len(KILLED_IN)]
    assert all(run.origin and run.origin.settings["tflite"]["enabled"] for run in runs)
    assert_every_version_loads(tmp_path / "serving/taxi")
    for version in (tmp_path / "tflite/taxi").iterdir():
        load(version / "model.tflite").predict({})


def assert_store_is_whole(output: Path) -> None:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(output / "metadata.db")
    store = metadata_store.MetadataStore(config)
    reader, executions = open_reader(output), store.get_executions()
    assert metadata_store_pb2.Execution.RUNNING not in [execution.last_known_state for execution in executions]
    failed = {reader.node_of(each.id) for each in executions if each.last_known_state == FAILED}
    assert failed >= {node for node, _ in KILLED_IN} - TAKES_A_MOMENT
    for artifact in store.get_artifacts():
        if artifact.state == metadata_store_pb2.Artifact.LIVE:
            assert Path(artifact.uri).exists(), artifact


def assert_every_version_loads(folder: Path) -> None:
    versions = [path for path in folder.iterdir() if path.name.isdigit()]
    assert versions
    for version in versions:
        assert "serving_default" in tf.saved_model.load(str(version)).signatures
