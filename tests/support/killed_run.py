"""A run that was stopped with SIGTERM, and then killed in each node."""

import json
import os
import signal
import time
from pathlib import Path

from conftest import wait_for, wait_until
from forked import Forked
from pushed_run import PushedRun, not_yet_run

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


def killed_run(folder: Path, table: Path) -> PushedRun:
    """Returns a command that was stopped and killed, in a new output folder. The next run should complete it."""
    made = not_yet_run(folder, table)
    _stop_in_example_gen(made, folder)
    for node, after in KILLED_IN:
        _kill_in(node, after, made)
    return made


def _stop_in_example_gen(made: PushedRun, folder: Path) -> None:
    """Sends SIGTERM to the command, which ends it as Ctrl-C does."""
    out, err = folder / "out", folder / "err"
    process = Forked(made.command(), str(out), str(err))
    try:
        wait_for(made.output, "Node ExampleGen starts", process)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert json.loads(out.read_text())["error"] == "interrupted"
    assert "interrupted; run the same command to resume" in err.read_text()


def _kill_in(node: str, after: float, made: PushedRun) -> None:
    """Runs the command and kills it with SIGKILL, ``after`` seconds into the work of the node's executor."""
    # TFX makes this folder when the execution is in ML Metadata and its executor is about to begin.
    executions = made.output / "artifacts" / node / ".system/executor_execution"
    known = set(executions.glob("*"))
    process = Forked(made.command())
    try:
        wait_until(lambda: bool(set(executions.glob("*")) - known), process, f"an execution of {node}")
        time.sleep(after)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
