"""Errors that end a run outside of its nodes."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

import local_runner
from lineage.errors import LineageError
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config
from pipeline.preflight.preflight import CheckedInputs, preflight
from pipeline.results.run_folder import RunFolder


@pytest.fixture
def inputs(table: Path, tmp_path: Path) -> CheckedInputs:
    settings = ROOT / "configs/taxi.yaml"
    return preflight(load_config(settings, data=str(table), output=str(tmp_path)), settings)


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (ConfigError("--from: found no earlier run"), 2, "error --from: found no earlier run"),
        (LineageError("the store is gone"), 1, "error the store is gone; full log:"),
        (ValueError("report.json: found no bounds"), 1, "error report.json: found no bounds; full log:"),
        (RuntimeError("no such thing"), 1, "error RuntimeError('no such thing'); full log:"),
    ],
)
def test_error_outside_of_the_nodes_ends_in_one_line(
    inputs: CheckedInputs,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    printed: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(local_runner, "_run_nodes", fail)
    options = local_runner.Options("configs/taxi.yaml", None, None, {}, None, False, False, False)
    folder = RunFolder(Path(inputs.config.output))
    assert local_runner._run_in_folder(options, inputs, folder, []) == code
    shown = " ".join(capfd.readouterr().out.split())
    assert printed in shown
    output = Path(inputs.config.output)
    summary = json.loads((output / "runs/latest/summary.json").read_text())
    assert (summary["status"], summary["error"]) == ("failed", str(error))
    assert "Traceback" not in shown


INTERRUPTED = """
import subprocess, sys
from pathlib import Path
import local_runner
from artifacts.summary import failed_summary
from pipeline.results.console import RunConsole
from pipeline.results.run_folder import RunFolder
print(subprocess.Popen(["sleep", "60"], stderr=subprocess.DEVNULL).pid, flush=True)
folder = RunFolder(Path(sys.argv[1]))
local_runner._end(RunConsole(sys.stderr), failed_summary("taxi", "interrupted", folder.run_id), folder, None)
"""


def test_child_processes_have_ended_before_an_interrupted_run_does(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stderr
        child = psutil.Process(int(process.stdout.readline()))
        assert process.stderr.read() == "error interrupted; run the same command to resume\n"
    is_left = child.is_running()
    if is_left:
        child.kill()
    assert (process.returncode, is_left) == (130, False)
