import dataclasses
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tiny_runs import FAILED, FIRST, KILLED, MORE_STEPS, OTHER, SAME, now, story

from lineage.errors import LineageError
from lineage.graph.contexts import PIPELINE, RUN
from lineage.queries.runs import all_runs, find_run
from lineage.recorded import run_properties as recording
from lineage.recorded.origin import origin
from lineage.records import Ending
from pipeline.local.recovery import close_interrupted


@pytest.fixture
def empty(tmp_path: Path) -> MetadataStore:
    return MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.db")))


def status_of(store: MetadataStore, **fields: Any) -> str:
    """Of a run that recorded no end, and was started from this process but for ``fields``."""
    recording.begin(store, "taxi", "a run", now(), dataclasses.replace(origin({}, ["python"]), **fields))
    return find_run(store, "a run").status


def test_runs_of_all_pipelines_are_told_newest_first_in_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    store = story().store
    call, asked = MetadataStore._call, []

    def watched(self: MetadataStore, name: str, *rest: object) -> object:
        asked.append(name)
        return call(self, name, *rest)

    monkeypatch.setattr(MetadataStore, "_call", watched)
    runs = all_runs(store)
    assert asked == ["GetContextsByType"]
    assert [run.run_id for run in runs] == story().names[::-1]
    told = {run.run_id: (run.pipeline, run.status, run.metrics, bool(run.version)) for run in runs}
    assert told[MORE_STEPS] == ("taxi", "pushed", {"auc": 0.12}, True)
    assert told[FAILED] == ("taxi", "failed", {}, False)
    assert told[OTHER][0] == "other"
    assert told[KILLED] == ("taxi", "interrupted", {}, False)
    assert told[FIRST] == (None, "unknown", {}, False)  # by an earlier version of this project


def test_a_run_tells_what_it_was_started_from() -> None:
    run = find_run(story().store, MORE_STEPS)
    assert run.origin
    assert (run.origin.pid, run.origin.host) == (os.getpid(), socket.gethostname())
    assert run.origin.settings["training"] == {"steps": 120, "warm_start": False}
    assert run.origin.settings["metadata"] == {"password": "***"}
    assert run.origin.command == "python local_runner.py"
    failed = find_run(story().store, FAILED)
    assert failed.error == "Trainer: found -1 steps"
    assert failed.seconds == 1.5


def test_nodes_belong_to_the_context_that_was_there_before_them() -> None:
    store = story().store
    [pipeline] = [each for each in store.get_contexts_by_type(PIPELINE) if each.name == "taxi"]
    children = {
        each.name for each in store.get_children_contexts_by_context(pipeline.id) if each.type == "pipeline_run"
    }
    assert children == set(story().names) - {OTHER}
    assert len(store.get_executions_by_context(find_run(store, SAME).context_id)) == 9


def test_a_run_is_found_by_its_name_by_what_it_begins_with_and_as_the_latest() -> None:
    store = story().store
    recorded = find_run(store, SAME)
    assert recorded.run_id == SAME
    assert find_run(store, "latest").run_id == story().names[-1]
    assert find_run(store, "run-2").run_id == MORE_STEPS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run", "run 'run': 8 runs begin with it: run-7, run-6, run-5, …; expected more of one"),
        ("other", "run 'other': there is none; the newest are run-7, run-6, run-5, …, or say 'latest'"),
    ],
)
def test_a_run_that_is_not_there_is_refused_with_those_that_are(name: str, said: str) -> None:
    with pytest.raises(LineageError) as error:
        find_run(story().store, name)
    assert str(error.value) == said


def test_a_store_without_runs_says_so(empty: MetadataStore) -> None:
    assert all_runs(empty) == []
    with pytest.raises(LineageError, match="no run is in this store yet"):
        find_run(empty, "latest")


def test_a_run_whose_process_lives_is_running(empty: MetadataStore) -> None:
    assert status_of(empty) == "running"


def test_a_run_whose_process_is_gone_was_interrupted(empty: MetadataStore) -> None:
    assert status_of(empty, pid=2**22 - 1) == "interrupted"


def test_a_later_process_of_the_same_number_is_not_the_run(
    empty: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later:
        def __init__(self, _pid: int) -> None: ...

        def create_time(self) -> float:
            return time.time() + 60

    monkeypatch.setattr("psutil.Process", Later)
    assert status_of(empty) == "interrupted"


def test_of_a_run_on_another_machine_nobody_knows_here(empty: MetadataStore) -> None:
    assert status_of(empty, host="elsewhere") == "unfinished"


def test_the_run_after_a_killed_one_records_that_it_was(empty: MetadataStore, tmp_path: Path) -> None:
    assert status_of(empty, host="elsewhere") == "unfinished"
    close_interrupted(empty, ["a run"], tmp_path)
    assert find_run(empty, "a run").status == "interrupted"


def test_an_end_that_was_recorded_stays(empty: MetadataStore, tmp_path: Path) -> None:
    status_of(empty)
    recording.end(empty, "a run", Ending("pushed", 2.5, "17", {"auc": 0.5}))
    close_interrupted(empty, ["a run"], tmp_path)  # it was killed after that, before its summary was written
    run = find_run(empty, "a run")
    assert (run.status, run.seconds, run.version, run.metrics, run.error) == ("pushed", 2.5, "17", {"auc": 0.5}, None)


def test_what_is_not_known_is_left_out_of_the_properties(empty: MetadataStore) -> None:
    assert status_of(empty, commit=None, dirty=None, lock=None) == "running"
    context = empty.get_context_by_type_and_name(RUN, "a run")
    assert not {"commit", "dirty", "lock"} & set(context.custom_properties)
    run = find_run(empty, "a run")
    assert run.origin
    assert (run.origin.commit, run.origin.dirty, run.origin.lock) == (None, None, None)


def test_a_run_of_another_tool_has_properties_of_its_own(empty: MetadataStore) -> None:
    recording.begin(empty, "taxi", "a run", now(), origin({}, ["python"]))
    context = empty.get_context_by_type_and_name(RUN, "a run")
    for name in ("started", "metrics", "settings"):
        context.custom_properties[name].Clear()
        context.custom_properties[name].string_value = "yesterday"
    empty.put_contexts([context])
    [run] = all_runs(empty)
    assert run.metrics == {}
    assert run.started.timestamp() * 1000 == pytest.approx(context.create_time_since_epoch, abs=1)
