"""Runs that were stopped: the same command completes them. ``test_successive_runs.py`` kills them, too."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, arguments, run_in_new_process, wait_for

pytestmark = pytest.mark.e2e


def test_running_command_locks_the_output_and_resumes_after_ctrl_c(table: Path, tmp_path: Path) -> None:
    options = (f"--data={table}", "--to=SchemaGen")
    with subprocess.Popen(
        arguments(tmp_path, *options, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        wait_for(tmp_path, "", process)
        second = run_in_new_process(arguments(tmp_path, *options))
        wait_for(tmp_path, "Node ExampleGen starts", process)
        process.send_signal(signal.SIGINT)
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
