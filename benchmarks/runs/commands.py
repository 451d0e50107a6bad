"""Runs a command in a process of its own, and notes its time and its memory."""

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import psutil

EVERY = 0.2  # seconds between two looks at the memory; a look takes milliseconds
LINES = 15  # of standard error that a failure shows


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that ended well.

    Attributes:
        seconds: Wall time, from the start of the process to its end.
        cpu: Seconds of all cores together, its children's included.
        peak: Most resident memory of it and its children together at any look, in bytes; pages that they share count
            for each.
        stdout: What it printed.
    """

    seconds: float
    cpu: float
    peak: int
    stdout: str

    @property
    def answer(self) -> Any:
        """Standard output as JSON, or, behind what libraries print, its last line."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return json.loads(self.stdout.splitlines()[-1])


def run(command: Sequence[str]) -> Finished:
    """Runs a command of this project to its end.

    Args:
        command: What follows the interpreter.

    Raises:
        RuntimeError: It fails.
    """
    before, start, peak = _cpu(), time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=err)  # noqa: S603
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            try:
                process.wait(EVERY)
            except subprocess.TimeoutExpired:
                continue
        seconds = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        if process.returncode:
            told = "".join(err.readlines()[-LINES:])
            raise RuntimeError(f"{' '.join(command)}: found exit code {process.returncode}; expected 0\n{told}")
        return Finished(seconds, _cpu() - before, peak, out.read())


def resident(pid: int) -> int:
    """Resident memory of a process and of all that it started, in bytes; 0 if it ended."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_resident, family))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _cpu() -> float:
    """Seconds that children took that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
