"""Reads from ML Metadata and its artifacts what the nodes of a run found."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow_model_analysis as tfma
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME as STATISTICS_FILE
from tfx.types import artifact_utils

from artifacts.names import PUSHED_TFLITE, REASON, REPORT_FILE
from artifacts.slices import OVERALL, name_of_key, slice_name
from models.job import HYPERPARAMETERS_FILE, TRAINING_FILE
from pipeline.config.settings import Config, Threshold
from pipeline.results.summary import Comparison, Kind, Outcome, Pushed, Tflite, ThresholdResult, Training

Event = metadata_store_pb2.Event
Artifact: TypeAlias = metadata_store_pb2.Artifact
# (metric, slice, whether it is the difference from the baseline) -> value
Metrics = dict[tuple[str, str, bool], float]


def read_outcome(store: metadata_store.MetadataStore, config: Config, executions: Mapping[str, int]) -> Outcome:
    """Collects what the finished nodes of one run found.

    Args:
        store: ML Metadata.
        config: The run's settings.
        executions: The run's executions by node.
    """
    reader = _Reader(store, executions)
    outcome = Outcome()
    if statistics := reader.output("StatisticsGen", "statistics"):
        outcome = dataclasses.replace(outcome, rows=_rows(statistics))
    if model_run := reader.output("Trainer", "model_run"):
        hyperparameters = json.loads((Path(model_run.uri) / HYPERPARAMETERS_FILE).read_text())
        outcome = dataclasses.replace(outcome, hyperparameters=hyperparameters, training=_training(Path(model_run.uri)))
    if guard := reader.output("SkewGuard", "blessing"):
        outcome = dataclasses.replace(outcome, skew=guard.custom_properties["reason"].string_value or None)
    if evaluation := reader.output("Evaluator", "evaluation"):
        metrics = read_metrics(evaluation.uri)
        blessing = reader.output("Evaluator", "blessing")
        outcome = dataclasses.replace(
            outcome,
            metrics={name: metrics[name, OVERALL, False] for name in config.evaluation.metrics},
            thresholds=hold_against(config.evaluation.thresholds, metrics),
            blessed=bool(blessing and blessing.custom_properties["blessed"].int_value),
            baseline=_baseline(store, reader),
        )
    push = reader.output("Pusher", "pushed_model")
    if push and push.custom_properties["pushed"].int_value:
        outcome = dataclasses.replace(outcome, pushed=_pushed(push))
    exported = reader.output("TfliteExporter", "tflite_model")
    if exported and (report := Path(exported.uri) / REPORT_FILE).exists():
        measured = json.loads(report.read_text())
        path = push.custom_properties[PUSHED_TFLITE].string_value if push else ""
        outcome = dataclasses.replace(
            outcome,
            thresholds=[*outcome.thresholds, *map(_tflite_bound, measured["bounds"])],
            tflite=_tflite(measured, path or None),
            tflite_refused=exported.custom_properties[REASON].string_value or None,
        )
    return outcome


def output_id(store: metadata_store.MetadataStore, execution: int, key: str) -> int:
    """Id of the artifact that an execution gave under ``key``; -1 if it gave none."""
    artifact = _artifact(store, execution, key, (Event.OUTPUT,))
    return artifact.id if artifact else -1


def read_metrics(evaluation_uri: str) -> Metrics:
    """The candidate's metrics, and their differences from the baseline, by slice."""
    metrics: Metrics = {}
    for in_slice in tfma.load_metrics(evaluation_uri):
        where = name_of_key(in_slice.slice_key)
        for each in in_slice.metric_keys_and_values:
            if each.key.model_name != tfma.BASELINE_KEY and each.value.HasField("double_value"):
                metrics[each.key.name, where, each.key.is_diff] = each.value.double_value.value
    return metrics


def hold_against(thresholds: Sequence[Threshold], metrics: Metrics) -> list[ThresholdResult]:
    """Each bound of the policy beside what was measured.

    A slice that the eval split does not hold fails its bounds; a change holds where there is no baseline.
    """
    has_baseline = any(diff for _, _, diff in metrics)
    results = []
    for threshold in thresholds:
        where = slice_name(threshold.slice)
        for kind, comparison, bound in _bounds(threshold):
            value = metrics.get((threshold.metric, where, kind == "change"))
            kept = value is not None and (value >= bound if comparison == ">=" else value <= bound)
            ok = kept or (kind == "change" and not has_baseline)
            results.append(ThresholdResult(threshold.metric, where, kind, comparison, bound, value, ok))
    return results


def _bounds(threshold: Threshold) -> Iterator[tuple[Kind, Comparison, float]]:
    bounds: tuple[tuple[Kind, Comparison, float | None], ...] = (
        ("value", ">=", threshold.min),
        ("value", "<=", threshold.max),
        ("change", ">=", threshold.min_change),
        ("change", "<=", threshold.max_change),
    )
    for kind, comparison, bound in bounds:
        if bound is not None:
            yield kind, comparison, bound


class _Reader:
    """Artifacts of a run's nodes, by node and key."""

    def __init__(self, store: metadata_store.MetadataStore, executions: Mapping[str, int]) -> None:
        self._store = store
        self._executions = executions

    def output(self, node: str, key: str) -> Artifact | None:
        return self._artifact(node, key, (Event.OUTPUT,))

    def input(self, node: str, key: str) -> Artifact | None:
        return self._artifact(node, key, (Event.INPUT,))

    @functools.cache  # noqa: B019 - as short-lived as the reader
    def _artifact(self, node: str, key: str, kinds: tuple[int, ...]) -> Artifact | None:
        if node not in self._executions:
            return None
        return _artifact(self._store, self._executions[node], key, kinds)


def _artifact(store: metadata_store.MetadataStore, execution: int, key: str, kinds: tuple[int, ...]) -> Artifact | None:
    events = store.get_events_by_execution_ids([execution])
    ids = [event.artifact_id for event in events if event.type in kinds and event.path.steps[0].key == key]
    return store.get_artifacts_by_id(ids)[0] if ids else None


def _tflite(measured: Mapping[str, Any], path: str | None) -> Tflite:
    """The exporter's report; the size is that of the pushed file, which is stamped with its version."""
    fields = {field.name: measured.get(field.name) for field in dataclasses.fields(Tflite)}
    size = Path(path).stat().st_size if path and Path(path).exists() else measured["bytes"]
    return Tflite(**fields | {"path": path, "bytes": size})


def _tflite_bound(bound: Mapping[str, Any]) -> ThresholdResult:
    return ThresholdResult(bound["metric"], OVERALL, "value", "<=", bound["bound"], bound["value"], bound["ok"])


def _rows(statistics: Artifact) -> dict[str, int]:
    rows = {}
    for split in artifact_utils.decode_split_names(statistics.properties["split_names"].string_value):
        path = Path(statistics.uri) / f"Split-{split}" / STATISTICS_FILE
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
        rows[split] = int(found.datasets[0].num_examples)
    return rows


def _baseline(store: metadata_store.MetadataStore, reader: _Reader) -> str | None:
    """The version that the baseline was last pushed as."""
    baseline = reader.input("Evaluator", "baseline_model")
    if baseline is None:
        return None
    events = store.get_events_by_artifact_ids([baseline.id])
    for execution in sorted({event.execution_id for event in events if event.type == Event.INPUT}, reverse=True):
        push = _artifact(store, execution, "pushed_model", (Event.OUTPUT,))
        if push is not None and push.custom_properties["pushed"].int_value:
            return _pushed(push).version
    return None


def _training(folder: Path) -> Training | None:
    if not (folder / TRAINING_FILE).exists():  # of an earlier version of this project
        return None
    return Training(**json.loads((folder / TRAINING_FILE).read_text()))


def _pushed(artifact: Artifact) -> Pushed:
    properties = artifact.custom_properties
    return Pushed(properties["pushed_version"].string_value, properties["pushed_destination"].string_value)
