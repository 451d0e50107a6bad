"""``vertex_runner.py`` whose tasks and replicas are forked from a process that has imported TFX's entry point.

Each is still a process of its own and imports this project's modules itself. Importing TFX takes it 7 s otherwise. The
task that is named in the environment variable FRESH starts without this, as on Vertex AI.
"""

import os
import runpy
import subprocess
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import forked
from forked import Forked

from cloud.stand_in import replicas
from common.child_processes import ending_with_this_process
from common.project import ROOT
from pipeline.vertex import tasks

ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


def start(
    command: Sequence[str],
    *,
    stdin: int,
    stdout: IO[bytes],
    stderr: IO[bytes],
    env: Mapping[str, str],
    start_new_session: bool,
    cwd: Path = ROOT,
) -> "Forked | subprocess.Popen[bytes]":
    """Starts a process as ``subprocess.Popen`` does."""
    assert stdin == subprocess.DEVNULL
    wrapper = ending_with_this_process([])
    assert command[: len(wrapper)] == wrapper
    if Path(stdout.name).stem == os.environ.get("FRESH"):
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, start_new_session=start_new_session, cwd=cwd
        )
    return Forked(command[len(wrapper) :], stdout.name, stderr.name, cwd, env, start_new_session)


def main() -> None:
    """Runs the command line."""
    for module in (tasks, replicas):
        assert vars(module)["subprocess"] is subprocess
        vars(module)["subprocess"] = types.SimpleNamespace(**{**vars(subprocess), "Popen": start})
    forked.PRELOADED[:] = [ENTRY_POINT]
    runpy.run_path(str(ROOT / "vertex_runner.py"), run_name="__main__")


if __name__ == "__main__":
    main()
