"""Writes runs into a new store, with artifacts made by the libraries that the nodes use."""

import contextlib
import dataclasses
import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.evaluators.metrics_plots_and_validations_evaluator import (
    MetricsPlotsAndValidationsEvaluator,
)
from tensorflow_model_analysis.proto import config_pb2

from artifacts.summary import Node, RunSummary, State, failed_summary
from artifacts.thresholds import ThresholdResult
from custom_components.batched_evaluator.extractors import slices_of_batch
from lineage.recorded.run_recorder import RunRecorder
from lineage.records import Origin
from lineage.store.reader import MetadataReader
from models.problem.problem import Task
from pipeline.config.metrics import ARGUMENTS, COSTS, METRICS, METRICS_MODULE, find_metric
from pipeline.eval_config import PLOTS, PREFIX

Event, Execution = metadata_store_pb2.Event, metadata_store_pb2.Execution
STATES = {"ran": Execution.COMPLETE, "cached": Execution.CACHED, "failed": Execution.FAILED}
STARTED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
ORIGIN = Origin(
    commit="c0ffee",
    dirty=True,
    lock="10c4",
    command="local_runner.py --no-tune",
    settings={"evaluation": {"metrics": ["auc", "accuracy"]}},
    user="somebody",
    host="machine",
    pid=1,
    python="3.11",
    versions={"tfx": "1.21.0"},
)
Columns = Mapping[str, Sequence[float | int | str | None]]


@dataclasses.dataclass
class TinyStore:
    """An output folder with ML Metadata. Runs are written to it as TFX writes them."""

    output: Path
    pipeline: str = "tiny"

    @functools.cached_property
    def store(self) -> metadata_store.MetadataStore:
        self.output.mkdir(parents=True, exist_ok=True)
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(self.output / "metadata.db")
        return metadata_store.MetadataStore(config)

    @property
    def reader(self) -> MetadataReader:
        return MetadataReader(self.store)

    def begin(self, run_id: str, origin: Origin = ORIGIN) -> None:
        RunRecorder(self.store, run_id).begin(self.pipeline, STARTED, origin)
        (self.output / "runs" / run_id).mkdir(parents=True)

    def end(self, summary: RunSummary) -> None:
        assert summary.run_id
        version = summary.pushed.version if summary.pushed else None
        recorder = RunRecorder(self.store, summary.run_id)
        recorder.end(summary.status, summary.seconds, version, summary.metrics, summary.error)
        (self.output / "runs" / summary.run_id / "summary.json").write_text(summary.to_json())

    def execute(
        self,
        run_id: str,
        node: str,
        inputs: Mapping[str, int] | None = None,
        outputs: Mapping[str, str | int] | None = None,
        state: str = "ran",
        **properties: str,
    ) -> dict[str, int]:
        """Writes one execution.

        Args:
            run_id: The run.
            node: The node.
            inputs: Artifacts by key.
            outputs: Types of new artifacts, or existing artifacts, by key.
            state: Its state.
            properties: The node's settings.

        Returns:
            The outputs by key.
        """
        execution_type = metadata_store_pb2.ExecutionType(name=f"components.{node}")
        execution = Execution(
            type_id=self.store.put_execution_type(execution_type), last_known_state=STATES.get(state, Execution.RUNNING)
        )
        for name, value in properties.items():
            execution.custom_properties[name].string_value = value
        [execution.id] = self.store.put_executions([execution])
        pairs = [(_event(Event.INPUT, key), self._artifact(each)) for key, each in (inputs or {}).items()]
        made = {}
        for key, each in (outputs or {}).items():
            artifact = self._artifact(each) if isinstance(each, int) else self._new(each, node, key, execution.id)
            pairs.append((_event(Event.OUTPUT, key), artifact))
            made[key] = artifact
        contexts = [
            self._context("pipeline", self.pipeline),
            self._context("pipeline_run", run_id),
            self._context("node", f"{self.pipeline}.{node}"),
        ]
        _, ids, _ = self.store.put_execution(execution, [(artifact, event) for event, artifact in pairs], contexts)
        return dict(zip(made, ids[len(inputs or {}) :], strict=True))

    def folder(self, artifact: int) -> Path:
        """Creates and returns the folder of an artifact."""
        path = Path(self._artifact(artifact).uri)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _artifact(self, number: int) -> metadata_store_pb2.Artifact:
        [artifact] = self.store.get_artifacts_by_id([number])
        return artifact

    def _new(self, kind: str, node: str, key: str, execution: int) -> metadata_store_pb2.Artifact:
        type_id = self.store.put_artifact_type(metadata_store_pb2.ArtifactType(name=kind))
        uri = self.output / "artifacts" / node / key / str(execution)
        artifact = metadata_store_pb2.Artifact(type_id=type_id, uri=str(uri))
        artifact.custom_properties["split_names"].string_value = json.dumps(["train", "eval"])
        return artifact

    def _context(self, kind: str, name: str) -> metadata_store_pb2.Context:
        type_id = self.store.put_context_type(metadata_store_pb2.ContextType(name=kind))
        with contextlib.suppress(Exception):
            self.store.put_contexts([metadata_store_pb2.Context(type_id=type_id, name=name)])
        found = self.store.get_context_by_type_and_name(kind, name)
        assert found is not None
        return found


def write_statistics(folder: Path, splits: Mapping[str, Columns]) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    """Writes the files of StatisticsGen."""
    found = {}
    for split, columns in splits.items():
        batch = pa.RecordBatch.from_arrays([_arrow(values) for values in columns.values()], list(columns))
        statistics = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions())
        (folder / f"Split-{split}").mkdir()
        (folder / f"Split-{split}/FeatureStats.pb").write_bytes(statistics.SerializeToString())
        found[split] = statistics
    return found


def write_anomalies(folder: Path, statistics: Mapping[str, Any], schema: str) -> None:
    """Writes the files of ExampleValidator."""
    curated = text_format.Parse(schema, schema_pb2.Schema())
    for split, each in statistics.items():
        (folder / f"Split-{split}").mkdir()
        found = tfdv.validate_statistics(each, curated)
        (folder / f"Split-{split}/SchemaDiff.pb").write_bytes(found.SerializeToString())


def write_evaluation(folder: Path, task: Task, rows: pd.DataFrame, slices: Sequence[str]) -> None:
    """Writes the Evaluator's files from columns ``label`` and ``prediction``: metrics and plots of the task."""
    classes = ("0", "1", "2")[: {"binary": 2, "multiclass": 3}.get(task, 0)]
    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key="label", prediction_key="prediction")],
        slicing_specs=[config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=[each]) for each in slices)],
        metrics_specs=[config_pb2.MetricsSpec()],
    )
    for name in METRICS[task]:
        argument = ARGUMENTS[task].get(name)
        if name not in COSTS and (argument is None or argument.default is not None):
            class_name, module, settings = find_metric(task, name, classes)
            given = json.dumps({"name": name, **settings})
            config.metrics_specs[0].metrics.add(class_name=f"{PREFIX}{class_name}", module=module, config=given)
    if task in PLOTS:
        plot, options = PLOTS[task]
        added = config.metrics_specs.add().metrics
        added.add(class_name=f"{PREFIX}{plot}", module=METRICS_MODULE, config=json.dumps(options))
    batch = {
        constants.FEATURES_KEY: {each: rows[each].to_numpy(object)[:, np.newaxis] for each in slices},
        constants.LABELS_KEY: rows.label.to_numpy()[:, np.newaxis],
        constants.PREDICTIONS_KEY: np.array(rows.prediction.tolist(), np.float32).reshape(len(rows), -1),
    }
    evaluator = MetricsPlotsAndValidationsEvaluator(config)
    paths = {constants.METRICS_KEY: f"{folder}/metrics", constants.PLOTS_KEY: f"{folder}/plots"}
    writer = tfma.writers.MetricsPlotsAndValidationsWriter(paths, config)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        slicing = beam.FlatMap(slices_of_batch, list(config.slicing_specs))
        extracts = pipeline | beam.Create([batch], reshuffle=False) | slicing
        _ = extracts | evaluator.stage_name >> evaluator.ptransform | writer.stage_name >> writer.ptransform


def binary_rows(count: int = 400) -> pd.DataFrame:
    """Returns calibrated predictions in two cities. The second one has no rows of class 1."""
    draw = np.random.default_rng(3)
    prediction = draw.uniform(size=count).astype(np.float32)
    label = (draw.uniform(size=count) < prediction).astype(np.float32)
    city = np.where((label == 0) & (np.arange(count) % 3 == 0), "Chur", "La Chaux-de-Fonds")
    return pd.DataFrame({"label": label, "prediction": prediction, "city": city})


def summary(run_id: str, nodes: Mapping[str, State], **fields: Any) -> RunSummary:
    """Returns the summary of a run whose nodes depend on each other in a row."""
    names = list(nodes)
    steps = [Node(name, nodes[name], 1.5, names[max(place - 1, 0) : place]) for place, name in enumerate(names)]
    empty = failed_summary("tiny", "", run_id)
    return dataclasses.replace(empty, **{"nodes": steps, "seconds": 12.0, "error": None, "status": "partial", **fields})


KEPT = ThresholdResult("auc", "overall", "value", ">=", 0.5, 0.75, True)
GAINED = ThresholdResult("auc", "overall", "better_than_trivial", ">=", 0.1, 0.25, True, 0.5)
NO_ROWS = ThresholdResult("accuracy", "city=Atlantis", "value", ">=", 0.5, None, False, undefined="no rows")


def _event(kind: int, key: str) -> metadata_store_pb2.Event:
    event = Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


def _arrow(values: Sequence[float | int | str | None]) -> pa.Array:
    listed = [None if value is None else [value.encode() if isinstance(value, str) else value] for value in values]
    given = [value for value in values if value is not None]
    kind = pa.binary() if given and isinstance(given[0], str) else pa.int64() if _whole(given) else pa.float32()
    return pa.array(listed, pa.list_(kind))


def _whole(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, int) for value in values)
