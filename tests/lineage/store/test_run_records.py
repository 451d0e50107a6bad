import dataclasses
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tiny_runs import FAILED, FIRST, KILLED, MORE_STEPS, OTHER, SAME, now, shared_runs

from lineage.queries.find_run import find_run
from lineage.recorded.origin import collect_origin
from lineage.recorded.run_recorder import RunRecorder
from lineage.store.messages import PIPELINE_CONTEXT, RUN_CONTEXT
from lineage.store.reader import MetadataReader
from pipeline.local.recovery import close_interrupted


@pytest.fixture
def empty(tmp_path: Path) -> MetadataStore:
    return MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.db")))


def status_of(store: MetadataStore, **fields: Any) -> str:
    """Returns the status of a run that recorded none. Its origin is this process, except for ``fields``."""
    origin = dataclasses.replace(collect_origin({}, ["python"]), **fields)
    RunRecorder(store, "a run").begin("taxi", now(), origin)
    return find_run(MetadataReader(store), "a run").status


def test_runs_of_all_pipelines_are_read_newest_first_in_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = shared_runs().reader
    call, queries = MetadataStore._call, []

    def watched(self: MetadataStore, name: str, *rest: object) -> object:
        queries.append(name)
        return call(self, name, *rest)

    monkeypatch.setattr(MetadataStore, "_call", watched)
    runs = reader.runs()
    assert queries == ["GetContextsByType"]
    assert [run.run_id for run in runs] == shared_runs().names[::-1]
    found = {run.run_id: (run.pipeline, run.status, run.metrics, bool(run.version)) for run in runs}
    assert found[MORE_STEPS] == ("taxi", "pushed", {"auc": 0.12}, True)
    assert found[FAILED] == ("taxi", "failed", {}, False)
    assert found[OTHER][0] == "other"
    assert found[KILLED] == ("taxi", "interrupted", {}, False)
    assert found[FIRST] == (None, "unknown", {}, False)  # by an earlier version of this project


def test_a_run_has_its_origin() -> None:
    run = find_run(shared_runs().reader, MORE_STEPS)
    assert run.origin
    assert (run.origin.pid, run.origin.host) == (os.getpid(), socket.gethostname())
    assert run.origin.settings["training"] == {"steps": 120, "warm_start": False}
    assert run.origin.settings["metadata"] == {"password": "***"}
    assert run.origin.command == "python local_runner.py"
    failed = find_run(shared_runs().reader, FAILED)
    assert failed.error == "Trainer: found -1 steps"
    assert failed.seconds == 1.5


def test_nodes_belong_to_the_context_that_the_recorder_created() -> None:
    store = shared_runs().store
    [pipeline] = [each for each in store.get_contexts_by_type(PIPELINE_CONTEXT) if each.name == "taxi"]
    children = {
        each.name for each in store.get_children_contexts_by_context(pipeline.id) if each.type == "pipeline_run"
    }
    assert children == set(shared_runs().names) - {OTHER}
    assert len(store.get_executions_by_context(find_run(shared_runs().reader, SAME).context_id)) == 9


def test_a_run_whose_process_is_alive_is_running(empty: MetadataStore) -> None:
    assert status_of(empty) == "running"


def test_a_run_whose_process_is_gone_was_interrupted(empty: MetadataStore) -> None:
    assert status_of(empty, pid=2**22 - 1) == "interrupted"


def test_a_later_process_with_the_same_id_is_not_the_run(empty: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        def __init__(self, _pid: int) -> None: ...

        def create_time(self) -> float:
            return time.time() + 60

    monkeypatch.setattr("psutil.Process", Later)
    assert status_of(empty) == "interrupted"


def test_a_run_on_another_machine_is_unfinished(empty: MetadataStore) -> None:
    assert status_of(empty, host="elsewhere") == "unfinished"


def test_the_next_run_marks_a_killed_run_as_interrupted(empty: MetadataStore, tmp_path: Path) -> None:
    assert status_of(empty, host="elsewhere") == "unfinished"
    close_interrupted(empty, ["a run"], tmp_path)
    assert find_run(MetadataReader(empty), "a run").status == "interrupted"


def test_a_recorded_status_stays(empty: MetadataStore, tmp_path: Path) -> None:
    status_of(empty)
    RunRecorder(empty, "a run").end("pushed", 2.5, "17", {"auc": 0.5})
    close_interrupted(empty, ["a run"], tmp_path)  # it was killed after that, before its summary was written
    run = find_run(MetadataReader(empty), "a run")
    assert (run.status, run.seconds, run.version, run.metrics, run.error) == ("pushed", 2.5, "17", {"auc": 0.5}, None)


def test_unknown_values_have_no_property(empty: MetadataStore) -> None:
    assert status_of(empty, commit=None, dirty=None, lock=None) == "running"
    context = empty.get_context_by_type_and_name(RUN_CONTEXT, "a run")
    assert not {"commit", "dirty", "lock"} & set(context.custom_properties)
    run = find_run(MetadataReader(empty), "a run")
    assert run.origin
    assert (run.origin.commit, run.origin.dirty, run.origin.lock) == (None, None, None)


def test_a_run_of_another_tool_may_have_other_properties(empty: MetadataStore) -> None:
    RunRecorder(empty, "a run").begin("taxi", now(), collect_origin({}, ["python"]))
    context = empty.get_context_by_type_and_name(RUN_CONTEXT, "a run")
    for name in ("started", "metrics", "settings"):
        context.custom_properties[name].Clear()
        context.custom_properties[name].string_value = "yesterday"
    empty.put_contexts([context])
    [run] = MetadataReader(empty).runs()
    assert run.metrics == {}
    assert run.started.timestamp() * 1000 == pytest.approx(context.create_time_since_epoch, abs=1)
