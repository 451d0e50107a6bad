"""Measures startup times."""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.runs import commands
from benchmarks.runs.measurements import StartTimes

LOG, STARTED = "runs/latest/log", re.compile(rb"Node \w+ starts\.")  # logged by the runner
POLL_SECONDS, MAX_SECONDS = 0.01, 300.0


def measure_starts(rounds: int) -> StartTimes:
    """Measures each startup time once per round."""
    found = StartTimes()
    for _ in range(rounds):
        found.help.append(commands.run(["local_runner.py", "--help"]).seconds)
        found.tfx.append(commands.run(["-c", "from tfx import v1"]).seconds)
        with tempfile.TemporaryDirectory(prefix="startup") as output:
            found.first_node.append(first_node(Path(output)))
    return found


def first_node(output: Path) -> float:
    """Returns the seconds until the first node of a run in an empty folder starts, and stops the run.

    Raises:
        RuntimeError: No node starts in time.
    """
    start = time.perf_counter()
    command = [sys.executable, "local_runner.py", "--no-tune", f"--output={output}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        while time.perf_counter() < start + MAX_SECONDS and process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                if STARTED.search((output / LOG).read_bytes()):
                    return time.perf_counter() - start
            time.sleep(POLL_SECONDS)
    finally:
        process.terminate()
        process.wait()
    raise RuntimeError(f"{' '.join(command)}: no node started; expected one within {MAX_SECONDS:g} s")
