import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from common.project import ROOT
from pipeline.beam.flink import process
from pipeline.beam.flink.process import EndedError, Process

POLITE = "{said}; exec sleep 60"
STUBBORN = "trap '' TERM; {said}; while :; do sleep 60; done"  # with a child process that ignores it too
GRACE_SECONDS = 0.3


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command of a server that prints its process group and its id; what is left is killed after the test."""
    monkeypatch.setattr(process, "GRACE_SECONDS", GRACE_SECONDS)
    said = f"echo $PPID $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/said"
    yield ["/bin/sh", "-c", request.param.format(said=said)]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(told(tmp_path)[0], signal.SIGKILL)


either = pytest.mark.parametrize("server", [POLITE, STUBBORN], ids=["polite", "stubborn"], indirect=True)


def told(folder: Path) -> list[int]:
    """The process group of the server, which is the id of its shell, and its own id."""
    until((folder / "said").exists)
    return [int(number) for number in (folder / "said").read_text().split()]


def members(group: int) -> list[list[str]]:
    """Command lines of the processes of a group."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(each.pid) == group and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each.cmdline())
    return found


def until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_process_that_ends_is_reported_with_its_error() -> None:
    died = Process("A server", ["/bin/sh", "-c", "echo starts; echo 'an Exception: port taken'; exit 3"])
    with pytest.raises(EndedError, match=r"^A server ended with exit code 3: an Exception: port taken$"):
        died.wait_for(lambda: False, 10)
    died.close()


def test_waiting_for_a_process_times_out() -> None:
    late = Process("A server", ["sleep", "60"])
    with pytest.raises(EndedError, match="was not ready after 0 s"):
        late.wait_for(lambda: False, 0.3)
    late.close()


@either
def test_close_stops_the_process_and_its_children(server: list[str], tmp_path: Path) -> None:
    started = Process("A server", server)
    group, _ = told(tmp_path)
    assert members(group)
    started.close()
    until(lambda: not members(group), 1)


@pytest.mark.parametrize("server", [STUBBORN], indirect=True)
def test_close_works_without_the_shell(server: list[str], tmp_path: Path) -> None:
    started = Process("A server", server)
    group, own = told(tmp_path)
    [guard] = (each for each in psutil.Process(group).children() if each.pid != own)
    guard.kill()
    started.close()
    until(lambda: not members(group), 1)


@either
def test_process_ends_with_its_parent(server: list[str], tmp_path: Path) -> None:
    code = f"""
import os, signal, time
from pathlib import Path
from pipeline.beam.flink import process
process.GRACE_SECONDS = {GRACE_SECONDS}
started = process.Process("A server", {server})
while not Path("{tmp_path}/said").exists():
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    group, _ = told(tmp_path)
    until(lambda: not members(group), 5)


def test_children_of_a_finished_process_are_stopped() -> None:
    ended = Process("A server", ["/bin/sh", "-c", "sleep 60 & exit 4"])
    group = ended._process.pid
    until(lambda: ended.code is not None)
    assert ended.code == 4
    until(lambda: not members(group))
    ended.close()
