from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.metadata import sqlite_metadata_connection_config

from lineage.store.reader import MetadataReader
from pipeline.local.recovery import close_interrupted, remove_working_folders

State = metadata_store_pb2.Execution
OUTPUTS = ("model", ".system/executor_execution", ".system/stateful_working_dir")


@pytest.fixture
def store(tmp_path: Path) -> MetadataStore:
    return MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite")))


def context_of(store: MetadataStore, kind: str, name: str) -> int:
    type_id = store.put_context_type(metadata_store_pb2.ContextType(name=kind))
    known = store.get_context_by_type_and_name(kind, name)
    if known is not None:
        return int(known.id)
    return int(store.put_contexts([metadata_store_pb2.Context(type_id=type_id, name=name)])[0])


def executed(store: MetadataStore, artifacts: Path, run: str, node: str, state: int) -> int:
    """Records an execution as TFX does, with a file in each of its output folders."""
    type_id = store.put_execution_type(metadata_store_pb2.ExecutionType(name="tfx.Node"))
    (execution,) = store.put_executions([State(type_id=type_id, last_known_state=state)])
    contexts = [
        context_of(store, "pipeline", "taxi"),
        context_of(store, "pipeline_run", run),
        context_of(store, "node", f"taxi.{node}"),
    ]
    associations = [metadata_store_pb2.Association(execution_id=execution, context_id=each) for each in contexts]
    store.put_attributions_and_associations([], associations)
    for output in OUTPUTS:
        folder = artifacts / node / output / str(execution)
        folder.mkdir(parents=True)
        (folder / "half").touch()
    return int(execution)


def state_of(store: MetadataStore, execution: int) -> int:
    (found,) = store.get_executions_by_id([execution])
    return found.last_known_state


def outputs(artifacts: Path, node: str, execution: int) -> list[bool]:
    return [(artifacts / node / output / str(execution) / "half").is_file() for output in OUTPUTS]


@pytest.mark.parametrize("state", [State.NEW, State.RUNNING])
def test_interrupted_execution_is_closed_and_its_output_removed(
    store: MetadataStore, tmp_path: Path, state: int
) -> None:
    execution = executed(store, tmp_path, "run-1", "Trainer", state)
    assert close_interrupted(store, ["run-1"], tmp_path) == ["Trainer"]
    assert state_of(store, execution) == State.FAILED
    assert outputs(tmp_path, "Trainer", execution) == [False] * 3
    assert close_interrupted(store, ["run-1"], tmp_path) == []


@pytest.mark.parametrize("state", [State.COMPLETE, State.CACHED, State.FAILED, State.CANCELED])
def test_finished_execution_is_not_changed(store: MetadataStore, tmp_path: Path, state: int) -> None:
    finished = executed(store, tmp_path, "run-1", "Trainer", state)
    interrupted = executed(store, tmp_path, "run-1", "Trainer", State.RUNNING)
    assert close_interrupted(store, ["run-1"], tmp_path) == ["Trainer"]
    assert state_of(store, finished) == state
    assert outputs(tmp_path, "Trainer", finished) == [True] * 3
    assert outputs(tmp_path, "Trainer", interrupted) == [False] * 3


def test_other_runs_are_not_changed(store: MetadataStore, tmp_path: Path) -> None:
    other = executed(store, tmp_path, "run-2", "Trainer", State.RUNNING)
    interrupted = executed(store, tmp_path, "run-1", "Transform", State.RUNNING)
    assert close_interrupted(store, ["run-1", "never recorded"], tmp_path) == ["Transform"]
    assert state_of(store, other) == State.RUNNING
    assert state_of(store, interrupted) == State.FAILED
    assert outputs(tmp_path, "Trainer", other) == [True] * 3


def test_execution_that_a_failed_run_left_open_is_closed(store: MetadataStore, tmp_path: Path) -> None:
    """As if ML Metadata had failed when the node was published, and again when the run was."""
    execution = executed(store, tmp_path, "run-1", "Trainer", State.RUNNING)
    assert close_interrupted(store, ["run-1"], tmp_path, "failed") == ["Trainer"]
    assert state_of(store, execution) == State.FAILED
    run = MetadataReader(store).run("run-1")
    assert run
    assert run.status == "failed"


def test_working_folders_of_failed_and_killed_executors_are_removed(tmp_path: Path) -> None:
    outputs = tmp_path / "Trainer/model/8/saved_model.pb"
    for path in (
        outputs,
        *(tmp_path / node / ".system/stateful_working_dir/0a1b/notes" for node in ("Tuner", "Trainer")),
        tmp_path / "ExampleGen/.system/driver_execution/1796019041123/output.pb",
    ):
        path.parent.mkdir(parents=True)
        path.touch()
    remove_working_folders(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [outputs]
    assert not list(tmp_path.glob("*/.system/*/*"))


def test_execution_without_output_is_closed(store: MetadataStore, tmp_path: Path) -> None:
    execution = executed(store, tmp_path / "elsewhere", "run-1", "Pusher", State.RUNNING)
    assert close_interrupted(store, ["run-1"], tmp_path / "artifacts") == ["Pusher"]
    assert state_of(store, execution) == State.FAILED
