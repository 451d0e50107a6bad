import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.child_processes import child_environment, exit_description, prepare_environment, python_module
from common.loopback import is_loopback_address, without_proxy_for_loopback

LOCAL = "localhost,127.0.0.1,::1"


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that has packages of the names that a child process imports."""
    for name in ("common", "models", "artifacts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_child_process_imports_nothing_from_the_current_folder(foreign: Path) -> None:
    command = python_module("models.worker", "--help")
    shown = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=True).stdout
    assert "the Tuner's trials" in shown
    assert not (foreign / "ran").exists()


def test_children_of_libraries_import_the_project_and_nothing_from_the_current_folder(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam starts its workers with the interpreter's name and ``-m`` or ``-c``."""
    for name in ("PYTHONPATH", "PYTHONSAFEPATH", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that the fixture removes what the function sets
    prepare_environment()
    [_, _, *arguments] = python_module("models.worker", "--help")
    command = [python_module("")[0], *arguments]
    shown = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True).stdout
    assert "the Tuner's trials" in shown
    assert not (foreign / "ran").exists()


# A process that kills itself once its child is ready. The child keeps its standard error open.
PARENT = """
import os, signal, subprocess, sys
from common.child_processes import ending_with_this_process
child = subprocess.Popen({command}, stdout=subprocess.PIPE)
assert child.stdout.readline() == b"ready\\n"
os.kill(os.getpid(), signal.SIGKILL)
"""
PROGRAM = 'ending_with_this_process(["sh", "-c", "echo ready; exec sleep 60"])'
# Its interpreter is busy in C code, so none of its other threads runs.
WORKER = """[sys.executable, "-c", f"import ctypes, common.child_processes as processes; "
f"processes.exit_with_parent({os.getpid()}); print('ready', flush=True); ctypes.PyDLL(None).sleep(60)"]"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.parametrize("command", [PROGRAM, WORKER], ids=["program", "worker"])
def test_a_child_process_ends_with_its_killed_parent(command: str) -> None:
    parent = [sys.executable, "-c", PARENT.replace("{command}", command)]
    ended = subprocess.run(parent, env=child_environment(), capture_output=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (-signal.SIGKILL, b"")


@pytest.mark.parametrize(
    ("variables", "no_proxy", "no_grpc_proxy"),
    [
        ({}, LOCAL, LOCAL),
        ({"no_proxy": "corp, 127.0.0.1"}, "corp,127.0.0.1,localhost,::1", "corp,127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "corp"}, f"corp,{LOCAL}", f"corp,{LOCAL}"),
        ({"no_proxy": "*"}, "*", f"*,{LOCAL}"),
        ({"no_proxy": "corp", "no_grpc_proxy": "rpc"}, f"corp,{LOCAL}", f"rpc,{LOCAL}"),
    ],
)
def test_this_machine_is_added_to_the_hosts_without_a_proxy(
    variables: dict[str, str], no_proxy: str, no_grpc_proxy: str
) -> None:
    found = without_proxy_for_loopback(variables)
    assert found == {"no_proxy": no_proxy, "no_grpc_proxy": no_grpc_proxy}
    assert without_proxy_for_loopback({**variables, **found}) == found


@pytest.mark.parametrize(
    ("address", "expected"),
    [("localhost:8500", True), ("127.1.2.3:1", True), ("[::1]:8500", True), ("localhost.corp:1", False), ("[", False)],
)
def test_loopback_addresses(address: str, expected: bool) -> None:
    assert is_loopback_address(address) == expected


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-signal.SIGKILL, "was killed (SIGKILL; check whether the machine runs out of memory)"),
        (-signal.SIGSEGV, "was stopped by SIGSEGV"),
        (-45, "was stopped by signal 45"),
        (3, "exited with code 3"),
    ],
)
def test_exit_codes_are_described(code: int, text: str) -> None:
    assert exit_description(code) == text


def test_how_to_use_less_memory_is_said() -> None:
    assert exit_description(-signal.SIGKILL, "lower --workers").endswith("out of memory, or lower --workers)")
