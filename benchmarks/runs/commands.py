"""Runs a command in a separate process and measures its time and memory."""

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

SAMPLE_SECONDS = 0.2  # between two memory samples, which take milliseconds each
MAX_LINES = 15  # of standard error in an error


@dataclasses.dataclass(frozen=True)
class CommandResult:
    """A command that succeeded.

    Attributes:
        seconds: Wall time of the process.
        cpu: CPU seconds, including child processes.
        peak: Peak resident memory of the process and its children in bytes. Shared pages count once per process.
        stdout: Standard output.
    """

    seconds: float
    cpu: float
    peak: int
    stdout: str

    @property
    def parsed(self) -> Any:
        """Standard output as JSON, or its last line if libraries printed something before."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return json.loads(self.stdout.splitlines()[-1])


def run(command: Sequence[str]) -> CommandResult:
    """Runs a Python command of this project and waits for it.

    Args:
        command: Arguments of the Python interpreter.

    Raises:
        RuntimeError: The command fails.
    """
    before, start, peak = _cpu(), time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=err)  # noqa: S603
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            try:
                process.wait(SAMPLE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        seconds = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        if process.returncode:
            shown = "".join(err.readlines()[-MAX_LINES:])
            raise RuntimeError(f"{' '.join(command)}: found exit code {process.returncode}; expected 0\n{shown}")
        return CommandResult(seconds, _cpu() - before, peak, out.read())


def resident(pid: int) -> int:
    """Returns the resident memory of a process and its descendants in bytes, or 0 if it has ended."""
    try:
        process = psutil.Process(pid)
        processes = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_resident, processes))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _cpu() -> float:
    """Returns the CPU seconds of finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
