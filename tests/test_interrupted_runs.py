"""Runs that were stopped: the same command completes them. ``test_successive_runs.py`` kills them, too."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, WAIT_SECONDS, arguments, run_in_fork, wait_for
from forked import Forked

pytestmark = pytest.mark.e2e


def test_running_command_locks_the_output_and_resumes_after_ctrl_c(table: Path, tmp_path: Path) -> None:
    command = arguments(tmp_path / "output", f"--data={table}", "--to=ExampleGen")
    out, err = tmp_path / "out", tmp_path / "err"
    process = Forked([*command, "--json"], str(out), str(err))
    try:
        wait_for(tmp_path / "output", "", process)
        second = run_in_fork(command)
        wait_for(tmp_path / "output", "Node ExampleGen starts", process)
        os.kill(process.pid, signal.SIGINT)
        code = process.wait(WAIT_SECONDS)
    finally:
        process.kill()
    assert second.code == 2
    assert "another run is using it" in second.stderr
    assert code == 130
    assert json.loads(out.read_text())["error"] == "interrupted"
    assert "interrupted; run the same command to resume" in err.read_text()
    code, text = run_in_terminal(command)
    assert code == 0, text
    assert "ExampleGen" in text
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
