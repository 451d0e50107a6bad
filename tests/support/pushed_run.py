"""One complete run with tuning and a TFLite model, shared by all test files and workers of a session.

Tests may rerun it, but must not push another version into its output folder.
"""

import dataclasses
import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import Finished, run
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

    def rerun(self, *options: str, **settings: object) -> Finished:
        """Runs the same command again, with other options and settings."""
        return run(self.output, f"--data={self.table}", "--json", *options, **{"tflite__enabled": True, **settings})


@pytest.fixture(scope="session")
def pushed_run(tmp_path_factory: pytest.TempPathFactory, table: Path) -> PushedRun:
    """The shared run. The first worker that needs it makes it, and the others wait."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pushed_run"
    folder.mkdir(exist_ok=True)
    result = folder / "finished.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            result.write_text(json.dumps(dataclasses.asdict(make_run(folder, table).finished)))
    return PushedRun(Finished(**json.loads(result.read_text())), folder / "output", folder / "table")


def make_run(folder: Path, table: Path) -> PushedRun:
    """Makes such a run in a folder."""
    shutil.copytree(table, folder / "table")
    made = PushedRun(Finished(0, "", ""), folder / "output", folder / "table")
    return dataclasses.replace(made, finished=made.rerun())


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
