"""Nodes that run in the background and in order."""

import contextlib
import dataclasses
import datetime
import errno
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Model, String

from artifacts.summary import Node
from lineage.recorded.origin import collect_origin
from lineage.recorded.run_recorder import RunRecorder
from pipeline.config.errors import ConfigError
from pipeline.local.dag_runner import DagRunner, NodeFailedError
from pipeline.local.interruption import interruptible
from pipeline.nodes import BACKGROUND_NODES

# No "from __future__ import annotations" here: TFX reads the raw annotations.

SECONDS = 20.0


@component
def Train(model: OutputArtifact[Model]) -> None:
    """Outputs a model."""


@component
def Wait(
    model: InputArtifact[Model], verdict: OutputArtifact[String], mark: Parameter[str], fails: Parameter[bool]
) -> None:
    """Waits until the other node is running."""
    end = time.monotonic() + SECONDS
    while not Path(mark).exists():
        if time.monotonic() > end:
            raise TimeoutError("nothing ran in parallel")
        time.sleep(0.01)
    time.sleep(0.2)
    if fails:
        raise ValueError("found skew")


@component
def Evaluate(
    model: InputArtifact[Model], verdict: OutputArtifact[String], mark: Parameter[str], fails: Parameter[bool]
) -> None:
    """Reports that it is running."""
    Path(mark).touch()
    if fails:
        raise ValueError("found no rows")


@component
def Interrupted(
    model: InputArtifact[Model], verdict: OutputArtifact[String], mark: Parameter[str], fails: Parameter[bool]
) -> None:
    """Is interrupted, and turns that into an error of its own, like Beam, if it fails."""
    Path(mark).touch()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        if not fails:
            raise
        raise RuntimeError("a step failed") from None


@component
def Swallowing(
    model: InputArtifact[Model], verdict: OutputArtifact[String], mark: Parameter[str], fails: Parameter[bool]
) -> None:
    """Is interrupted, and goes on as if nothing had happened, like some libraries."""
    Path(mark).touch()
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


@component
def Push(one: InputArtifact[String], other: InputArtifact[String]) -> None:
    """Depends on both."""


@component
def Look(model: InputArtifact[Model], other: OutputArtifact[Model], text: OutputArtifact[String]) -> None:
    """Notes what it finds in its output folders."""
    folder = Path(other.uri)
    found = [path.name for each in (folder, Path(text.uri).parent) for path in each.iterdir()]
    (folder / "found").write_text(" ".join(found))


@dataclasses.dataclass
class Recorder:
    """A listener that records lines."""

    lines: list[str] = dataclasses.field(default_factory=list)

    def node_started(self, node_id: str) -> None:
        self.lines.append(f"{node_id} starts")

    def node_progress(self, source: str, line: str) -> None: ...

    def node_finished(self, node: Node) -> None:
        self.lines.append(f"{node.id} {node.state}")


def tiny(folder: Path, failing: str = "", evaluate: Any = Evaluate) -> Pipeline:
    mark = str(folder / "mark")
    trained = Train()
    model = trained.outputs["model"]
    [background] = BACKGROUND_NODES
    waiting = Wait(model=model, mark=mark, fails=failing == background).with_id(background)
    evaluator = evaluate(model=model, mark=mark, fails=failing == evaluate.__name__)
    nodes: list[BaseNode] = [trained, waiting, evaluator]
    nodes.append(Push(one=waiting.outputs["verdict"], other=evaluator.outputs["verdict"]))
    return pipeline_of(folder, nodes)


def pipeline_of(folder: Path, nodes: list[BaseNode]) -> Pipeline:
    return Pipeline(
        pipeline_name="tiny",
        pipeline_root=str(folder),
        components=nodes,
        metadata_connection_config=sqlite_metadata_connection_config(f"{folder}/metadata.db"),
    )


def run(folder: Path, failing: str = "") -> tuple[list[str], str]:
    """Recorded lines, and the error of the run."""
    recorder = Recorder()
    runner = DagRunner(tiny(folder, failing), "run", recorder)
    try:
        runner.run()
    except NodeFailedError as error:
        return recorder.lines, f"{error.node_id}: {error}"
    assert list(runner.executions) == ["Train", "Evaluate", *BACKGROUND_NODES, "Push"]
    return recorder.lines, ""


def test_background_node_runs_in_parallel(tmp_path: Path) -> None:
    recorder, failure = run(tmp_path)
    assert failure == ""
    assert recorder == [
        *("Train starts", "Train ran", "SkewGuard starts", "Evaluate starts", "Evaluate ran"),
        *("SkewGuard ran", "Push starts", "Push ran"),
    ]


@pytest.mark.parametrize(
    ("failing", "states", "failure"),
    [
        ("SkewGuard", ["Evaluate ran", "SkewGuard failed", "Push skipped"], "SkewGuard: found skew"),
        ("Evaluate", ["Evaluate failed", "SkewGuard ran", "Push skipped"], "Evaluate: found no rows"),
    ],
)
def test_failure_lets_parallel_nodes_finish_and_skips_the_rest(
    tmp_path: Path, failing: str, states: list[str], failure: str
) -> None:
    recorder, found = run(tmp_path, failing)
    assert [line for line in recorder if not line.endswith("starts")] == ["Train ran", *states]
    assert found == failure


def test_executor_starts_with_empty_folders_after_the_database_was_deleted(tmp_path: Path) -> None:
    """Ids of executions are used again, so their folders have the files of earlier executions."""
    earlier = [tmp_path / "Train/model/1/state.npz", tmp_path / "Look/other/2/Format-Serving/saved_model.pb"]
    earlier += [tmp_path / "Look/text/2/value", tmp_path / "Look/.system/executor_execution/2/executor_output.pb"]
    earlier += [tmp_path / "Look/.system/executor_execution/2/.temp/search/oracle.json"]
    kept = tmp_path / "Look/other/3/saved_model.pb"  # of an execution that may still be restored
    for path in (*earlier, kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a message")
    trained = Train()
    runner = DagRunner(pipeline_of(tmp_path, [trained, Look(model=trained.outputs["model"])]), "run", Recorder())
    runner.run()
    assert runner.executions == {"Train": 1, "Look": 2}
    assert (tmp_path / "Look/other/2/found").read_text() == "value"  # TFX creates this file, empty
    assert [path for path in earlier if path.exists()] == [tmp_path / "Look/text/2/value"]
    assert (tmp_path / "Look/text/2/value").read_bytes() == b""
    assert kept.exists()


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize("failing", ["", "Interrupted"])
def test_nothing_is_recorded_about_a_background_node_after_an_interrupt(tmp_path: Path, failing: str) -> None:
    runner, ended = DagRunner(tiny(tmp_path, failing, Interrupted), "run", Recorder()), threading.Event()
    with pytest.raises(KeyboardInterrupt), interruptible(ended.set):
        runner.run()
    assert not ended.is_set()
    [background] = [thread for thread in threading.enumerate() if thread.name in BACKGROUND_NODES]
    background.join(SECONDS)
    store = metadata_store.MetadataStore(sqlite_metadata_connection_config(f"{tmp_path}/metadata.db"))
    [execution] = store.get_executions_by_type("test_dag_runner.Wait")
    assert execution.last_known_state == metadata_store_pb2.Execution.RUNNING, "the next run closes it"


@pytest.mark.usefixtures("signal_handlers")
def test_no_node_starts_after_an_interrupt_that_a_library_swallowed(tmp_path: Path) -> None:
    recorder = Recorder()
    runner = DagRunner(tiny(tmp_path, evaluate=Swallowing), "run", recorder)
    with pytest.raises(KeyboardInterrupt), interruptible(threading.Event().set):
        runner.run()
    assert "Swallowing ran" in recorder.lines
    assert "Push starts" not in recorder.lines


def test_background_node_has_ended_when_the_listener_fails(tmp_path: Path) -> None:
    class Full(Recorder):
        def node_finished(self, node: Node) -> None:
            super().node_finished(node)
            if node.id == "Evaluate":
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        DagRunner(tiny(tmp_path), "run", Full()).run()
    assert not [thread for thread in threading.enumerate() if thread.name in BACKGROUND_NODES]


def test_background_node_that_never_ran_uses_the_base_runs_artifacts(tmp_path: Path) -> None:
    DagRunner(tiny(tmp_path), "first", Recorder()).run(to_node="Train")
    recorder = Recorder()
    DagRunner(tiny(tmp_path), "second", recorder).run(from_node="Evaluate", base_nodes=["Train"])
    states = [line for line in recorder.lines if not line.endswith("starts")]
    assert states == ["Train skipped", "Evaluate ran", "SkewGuard ran", "Push ran"]


def test_from_a_node_needs_an_earlier_run(tmp_path: Path) -> None:
    runner = DagRunner(tiny(tmp_path), "first", Recorder())
    with pytest.raises(ConfigError, match=r"^--from: .*Expected an earlier run to start from; run once without --from"):
        runner.run(from_node="Evaluate")


def test_run_without_a_base_run_does_not_reuse_a_run_in_progress(tmp_path: Path) -> None:
    """Two first runs at the same time would otherwise reuse each other's artifacts, which ML Metadata refuses."""
    for run_id in ("first", "second"):
        pipeline = tiny(tmp_path)
        pipeline.components = [*pipeline.components, Train().with_id("Unrelated")]  # skipped, and reused if possible
        runner = DagRunner(pipeline, run_id, Recorder())
        with runner.metadata() as connection:
            RunRecorder(connection.store, run_id).begin("tiny", datetime.datetime.now(datetime.UTC), collect_origin({}))
        runner.run(to_node="Train")
    store = metadata_store.MetadataStore(sqlite_metadata_connection_config(f"{tmp_path}/metadata.db"))
    second = store.get_context_by_type_and_name("pipeline_run", "second")
    assert [each.name for each in store.get_parent_contexts_by_context(second.id)] == ["tiny"]
