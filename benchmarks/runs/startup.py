"""How long the commands take to begin."""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.runs import commands
from benchmarks.runs.measurements import Starts

LOG, STARTED = "runs/latest/log", re.compile(rb"Node \w+ starts\.")  # what the runner says of each
LOOK, LONGEST = 0.01, 300.0  # seconds


def starts(rounds: int) -> Starts:
    """Times the three in turns."""
    found = Starts()
    for _ in range(rounds):
        found.help.append(commands.run(["local_runner.py", "--help"]).seconds)
        found.tfx.append(commands.run(["-c", "from tfx import v1"]).seconds)
        with tempfile.TemporaryDirectory(prefix="startup") as output:
            found.first_node.append(first_node(Path(output)))
    return found


def first_node(output: Path) -> float:
    """Seconds until the first node of a run into an empty folder starts; the run is then stopped.

    Raises:
        RuntimeError: It ends, or goes on for minutes, without one.
    """
    start = time.perf_counter()
    command = [sys.executable, "local_runner.py", "--no-tune", f"--output={output}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        while time.perf_counter() < start + LONGEST and process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                if STARTED.search((output / LOG).read_bytes()):
                    return time.perf_counter() - start
            time.sleep(LOOK)
    finally:
        process.terminate()
        process.wait()
    raise RuntimeError(f"{' '.join(command)}: found no node that started; expected one within {LONGEST:g} s")
