"""Runs of a tiny pipeline with the nodes, artifacts and settings of the real one, whose nodes do almost nothing."""

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

from memory_folder import memory_folder
from ml_metadata import metadata_store
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components import Evaluator, Trainer
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base import base_beam_executor, base_executor, executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2
from tfx.types.standard_artifacts import (
    Examples,
    ExampleStatistics,
    InfraBlessing,
    Model,
    ModelBlessing,
    TransformGraph,
)
from tfx.utils import io_utils

from artifacts.names import HYPERPARAMETERS_FILE
from artifacts.summary import Node
from custom_components.baseline_resolver.strategy import LatestOtherBlessedModelStrategy
from custom_components.curated_schema.component import CuratedSchema
from custom_components.pusher.component import AtomicPusher
from lineage.recorded.origin import collect_origin
from lineage.recorded.run_recorder import RunRecorder
from lineage.store.connection import READONLY, open_reader, open_store
from lineage.store.location import read_location
from lineage.store.reader import MetadataReader
from pipeline.local.dag_runner import DagRunner, NodeFailedError

# No "from __future__ import annotations" here: TFX reads the raw annotations.

Artifacts: TypeAlias = dict[str, list[types.Artifact]]

FIRST, SAME, MORE_STEPS, NEW_DATA, FAILED, FROM_GUARD, OTHER, KILLED = (f"run-{number}" for number in range(8))
SPLITS = '["train", "eval"]'
SCHEMA = 'feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 } }'
CODE = "c" * 64
ROWS = {"train": 70, "eval": 30}
LABEL = {"label": {"name": "tip"}, "task": "binary"}


@component
def ReadTable(
    examples: OutputArtifact[Examples],
    input_base: Parameter[str],
    input_config: Parameter[str],
    input_fingerprint: Parameter[str],
) -> None:
    """Stands in for ExampleGen; reads nothing."""
    examples.split_names = SPLITS
    examples.set_int_custom_property("span", 0)
    examples.set_string_custom_property("input_fingerprint", input_fingerprint)


@component
def CountRows(examples: InputArtifact[Examples], statistics: OutputArtifact[ExampleStatistics]) -> None:
    """Stands in for StatisticsGen; writes statistics with the number of rows."""
    statistics.split_names = examples.split_names
    for split, rows in ROWS.items():
        folder = Path(statistics.uri) / f"Split-{split}"
        folder.mkdir()
        found = statistics_pb2.DatasetFeatureStatisticsList()
        found.datasets.add(num_examples=rows)
        (folder / "FeatureStats.pb").write_bytes(found.SerializeToString())


@component
def Analyse(
    examples: InputArtifact[Examples],
    schema: InputArtifact[types.standard_artifacts.Schema],
    transform_graph: OutputArtifact[TransformGraph],
    transformed_examples: OutputArtifact[Examples],
    custom_config: Parameter[str],
) -> None:
    """Stands in for Transform; writes nothing."""
    transformed_examples.split_names = examples.split_names


class TrainExecutor(base_executor.BaseExecutor):
    """Writes the number of steps as the model; fails with -1 steps."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        steps = json.loads(exec_properties["custom_config"])["training"]["steps"]
        if steps < 0:
            raise ValueError("found -1 steps")
        folder = Path(output_dict["model"][0].uri) / "Format-Serving"
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(str(steps))
        model_run = Path(output_dict["model_run"][0].uri)
        model_run.mkdir(parents=True, exist_ok=True)
        (model_run / HYPERPARAMETERS_FILE).write_text(json.dumps({"steps": steps}))


@component
def Guard(model: InputArtifact[Model], blessing: OutputArtifact[InfraBlessing]) -> None:
    """Blesses."""
    blessing.set_int_custom_property("blessed", 1)
    blessing.set_int_custom_property("current_model_id", model.id)


class EvaluateExecutor(base_beam_executor.BaseBeamExecutor):
    """Blesses."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        [blessing] = output_dict["blessing"]
        blessing.set_int_custom_property("blessed", 1)
        blessing.set_int_custom_property("current_model_id", input_dict["model"][0].id)


class Evaluate(Evaluator):
    """TFX's Evaluator with an executor that blesses every model."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluateExecutor)


@dataclasses.dataclass
class Quiet:
    """A listener that prints nothing."""

    def node_started(self, node_id: str) -> None: ...
    def node_progress(self, source: str, line: str) -> None: ...
    def node_finished(self, node: Node) -> None: ...


@dataclasses.dataclass
class TinyRuns:
    """Runs in one output folder.

    Attributes:
        output: The output folder.
        table: Folder of the input table.
        names: Names of the runs so far.
    """

    output: Path
    table: Path
    names: list[str] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def store(self) -> metadata_store.MetadataStore:
        return open_store(read_location(self.output), READONLY)

    @functools.cached_property
    def reader(self) -> MetadataReader:
        return open_reader(self.output)

    def write_table(self, content: str, seconds: int) -> None:
        self.table.mkdir(exist_ok=True)
        path = self.table / "table.csv"
        path.write_text(content)
        os.utime(path, (seconds, seconds))

    def run(
        self,
        *,
        steps: int = 20,
        problem: str = "taxi",
        warm_start: bool = False,
        from_node: str | None = None,
        base: str | None = None,
        schema: str = SCHEMA,
        recorded: bool = True,
        cache: bool = True,
    ) -> str:
        """Runs the pipeline as ``pipeline.local.run`` does, and returns the name of the run."""
        name = f"run-{len(self.names)}"
        nodes = _nodes(self, steps, problem, warm_start, schema)
        self.output.mkdir(exist_ok=True)
        path = self.output / "metadata.db"
        pipeline = Pipeline(
            pipeline_name=problem,
            pipeline_root=str(self.output / "artifacts"),
            components=nodes,
            metadata_connection_config=sqlite_metadata_connection_config(str(path)),
            enable_cache=cache,
        )
        runner = DagRunner(pipeline, name, Quiet())
        if recorded:
            settings = {"training": {"steps": steps, "warm_start": warm_start}, "metadata": {"password": "hidden"}}
            command = ["python", "local_runner.py", *([] if cache else ["--no-cache"])]
            with runner.metadata() as handle:
                RunRecorder(handle.store, name).begin(problem, now(), collect_origin(settings, command))
        failed = None
        try:
            with runner.metadata() as handle:
                base_nodes = MetadataReader(handle.store).finished_executions(base) if base else ()
            runner.run(from_node, None, base, base_nodes)
        except NodeFailedError as error:
            failed = f"{error.node_id}: {error}"
        if recorded:
            version = max((each.name for each in self.output.glob(f"serving/{problem}/*")), default=None)
            metrics = {} if failed else {"auc": steps / 1000}
            with runner.metadata() as handle:
                status = "failed" if failed else "pushed"
                RunRecorder(handle.store, name).end(status, 1.5, None if failed else version, metrics, failed)
        self.names.append(name)
        return name

    def begin_only(self, pid: int | None = None) -> str:
        """Records a run that was killed before its first node."""
        name = f"run-{len(self.names)}"
        origin = collect_origin({}, ["python", "local_runner.py"])
        recorder = RunRecorder(open_store(read_location(self.output)), name)
        recorder.begin("taxi", now(), dataclasses.replace(origin, pid=pid or origin.pid))
        self.names.append(name)
        return name


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _nodes(runs: TinyRuns, steps: int, problem: str, warm_start: bool, schema_text: str) -> list[BaseNode]:
    settings = {"problem": LABEL, "training": {"steps": steps}, "code": CODE}
    pattern = json.dumps({"splits": [{"name": "single_split", "pattern": "*.csv"}]})
    schema = CuratedSchema(text=schema_text)
    read = ReadTable(
        input_base=str(runs.table),
        input_config=pattern,
        # As the driver of TFX's ExampleGen does.
        input_fingerprint=io_utils.generate_fingerprint("single_split", f"{runs.table}/*.csv"),
    ).with_id("ExampleGen")
    examples = read.outputs["examples"]
    rows = CountRows(examples=examples).with_id("StatisticsGen")
    config = json.dumps({"problem": LABEL, "code": CODE})
    graph = Analyse(examples=examples, schema=schema.outputs["schema"], custom_config=config).with_id("Transform")
    blessed = {
        "model": types.Channel(type=Model),
        "model_blessing": types.Channel(type=ModelBlessing),
        "infra_blessing": types.Channel(type=InfraBlessing),
    }
    label = {"label": json.dumps([LABEL["task"], LABEL["label"]])}
    start = Resolver(strategy_class=LatestOtherBlessedModelStrategy, config=label, **blessed).with_id("WarmStartModel")
    train = Trainer(
        examples=graph.outputs["transformed_examples"],
        transform_graph=graph.outputs["transform_graph"],
        base_model=start.outputs["model"] if warm_start else None,
        run_fn="none",
        custom_config=settings,
        custom_executor_spec=executor_spec.ExecutorClassSpec(TrainExecutor),
    )
    model = train.outputs["model"]
    guard = Guard(model=model).with_id("SkewGuard")
    latest = Resolver(strategy_class=LatestOtherBlessedModelStrategy, candidate=model, **blessed)
    latest = latest.with_id("LatestBlessedModel")
    evaluate = Evaluate(examples=examples, model=model, baseline_model=latest.outputs["model"]).with_id("Evaluator")
    folder = pusher_pb2.PushDestination.Filesystem(base_directory=str(runs.output / "serving" / problem))
    push = AtomicPusher(
        inputs={
            "model": model,
            "model_blessing": evaluate.outputs["blessing"],
            "infra_blessing": guard.outputs["blessing"],
        },
        push_destination=pusher_pb2.PushDestination(filesystem=folder),
    ).with_id("Pusher")
    warm = [start] if warm_start else []
    return [schema, read, rows, graph, *warm, train, guard, latest, evaluate, push]


_TEMPORARY = tempfile.TemporaryDirectory(prefix="tiny_runs", dir=memory_folder())
DEAD = 2**22 - 1  # larger than any process id of Linux


@contextlib.contextmanager
def new_runs() -> Iterator[TinyRuns]:
    """Creates an output folder without runs, for tests that need their own."""
    with tempfile.TemporaryDirectory(prefix="tiny_runs", dir=memory_folder()) as folder:
        runs = TinyRuns(Path(folder) / "output", Path(folder) / "table")
        runs.write_table("fare\n", 1)
        yield runs


@functools.cache
def shared_runs() -> TinyRuns:
    """Runs the pipeline eight times, once per test process. The runs are named for what each one shows."""
    folder = Path(_TEMPORARY.name)
    runs = TinyRuns(folder / "output", folder / "table")
    runs.write_table("fare\n1\n", 1_000)
    assert runs.run(recorded=False) == FIRST
    assert runs.run() == SAME
    assert runs.run(steps=120) == MORE_STEPS
    runs.write_table("fare\n1\n2\n", 2_000)
    assert runs.run(steps=120, warm_start=True) == NEW_DATA
    assert runs.run(steps=-1) == FAILED
    assert runs.run(steps=120, warm_start=True, from_node="SkewGuard", base=NEW_DATA) == FROM_GUARD
    with mock.patch("custom_components.pusher.folders.time.time", return_value=1_600_000_000):  # no version of taxi's
        assert runs.run(problem="other") == OTHER
    assert runs.begin_only(DEAD) == KILLED
    return runs
