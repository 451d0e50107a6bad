"""Complete runs that are made once and shared by all test files and workers of a session.

Tests may rerun them, but must not push another version into their output folders.
"""

import dataclasses
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Finished, arguments, run_in_fork, run_in_new_process
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2


@dataclasses.dataclass(frozen=True)
class PushedRun:
    """A run that pushed a model.

    Attributes:
        finished: The finished command, which printed the summary.
        output: Its output folder.
        table: The folder that it read.
    """

    finished: Finished
    output: Path
    table: Path

    def command(self, *options: str, **settings: object) -> list[str]:
        """The command line, with further options and settings."""
        everything = {"tflite__enabled": True, **settings}
        return arguments(self.output, f"--data={self.table}", "--json", *options, **everything)

    def rerun(self, *options: str, **settings: object) -> Finished:
        """Runs the command again, with further options and settings."""
        return run_in_fork(self.command(*options, **settings))


@pytest.fixture(scope="session")
def pushed_run(tmp_path_factory: pytest.TempPathFactory, table: Path) -> PushedRun:
    """A run of the small table with tuning and a TFLite model."""
    folder, finished = made_once(tmp_path_factory, "pushed_run", lambda folder: make_run(folder, table).finished)
    return PushedRun(finished, folder / "output", folder / "table")


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> PushedRun:
    """A run of the bundled sample with its own settings, as a new user runs it."""
    folder, finished = made_once(
        tmp_path_factory, "sample_run", lambda folder: run_sample(folder / "output", run_in_new_process)
    )
    return PushedRun(finished, folder / "output", ROOT / "data/taxi")


def run_sample(output: Path, start: Callable[[list[str]], Finished], *options: str) -> Finished:
    """Runs the pipeline on the bundled sample."""
    finished = start([sys.executable, str(ROOT / "local_runner.py"), f"--output={output}", "--json", *options])
    assert finished.code == 0, finished.stderr
    return finished


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Finished]
) -> tuple[Path, Finished]:
    """Makes a run in a folder that all workers share. The first worker makes it, and the others wait.

    Returns:
        The folder and the finished command.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    result = folder / "finished.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            result.write_text(json.dumps(dataclasses.asdict(make(folder))))
    return folder, Finished(**json.loads(result.read_text()))


def make_run(folder: Path, table: Path) -> PushedRun:
    """Makes such a run in a folder."""
    made = not_yet_run(folder, table)
    return dataclasses.replace(made, finished=run_in_new_process(made.command()))


def not_yet_run(folder: Path, table: Path) -> PushedRun:
    """A command that was not run yet, on a copy of the table."""
    shutil.copytree(table, folder / "table")
    return PushedRun(Finished(0, "", ""), folder / "output", folder / "table")


def open_store(output: Path) -> metadata_store.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(output / "metadata.db")
    return metadata_store.MetadataStore(config)


def executions(output: Path, run_id: str) -> dict[str, int]:
    """Last known state by node, from ML Metadata."""
    store = open_store(output)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    states = {}
    for execution in store.get_executions_by_context(context.id):
        nodes = [each.name for each in store.get_contexts_by_execution(execution.id) if each.type == "node"]
        states[nodes[0].partition(".")[2]] = execution.last_known_state
    return states


def executed(output: Path, run_id: str) -> set[str]:
    """Nodes whose executor ran, from ML Metadata; a resolver has none."""
    complete = metadata_store_pb2.Execution.COMPLETE
    return {node for node, state in executions(output, run_id).items() if state == complete} - {"LatestBlessedModel"}
