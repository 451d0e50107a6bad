"""Reads the outputs of a run's nodes, from ML Metadata and from the artifacts' folders."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artifacts.names import REPORT_FILE
from artifacts.nodes.ablation import AblationReport, read_ablation
from artifacts.nodes.blessing import read_blessing
from artifacts.nodes.left_out import read_left_out
from artifacts.nodes.metrics import read_metrics
from artifacts.nodes.push import Push, read_push
from artifacts.nodes.statistics import read_rows, split_names
from artifacts.nodes.tflite import TfliteReport, read_tflite_report
from artifacts.nodes.training import TrainingRecord, read_hyperparameters, read_training
from artifacts.slices import OVERALL
from artifacts.summary import Pushed, Tflite
from artifacts.thresholds import ThresholdResult, check_all
from lineage.queries.pushed_version import last_pushed_version
from lineage.records import Artifact
from lineage.store.reader import MetadataReader
from pipeline.config.settings import Config
from pipeline.nodes import ABLATION


@dataclasses.dataclass(frozen=True)
class NodeOutputs:
    """What the nodes of a run produced.

    Attributes:
        rows: Number of rows by split.
        left_out: Number of rows that are in no split, by reason.
        metrics: The candidate's metrics over all rows of the eval split.
        thresholds: The bounds of the blessing policy and of the TFLite model, with the measured values.
        blessed: The Evaluator's decision, or ``None`` if it did not run.
        skew: Where serving differs from training, in one line, or ``None`` if it does not.
        baseline: Version of the model that the candidate was compared with.
        hyperparameters: The hyperparameters of the candidate.
        training: How the candidate was trained, or ``None`` if it was not.
        tflite: The TFLite model, or ``None`` if none was exported.
        tflite_refused: The bounds that the TFLite model does not meet, in one line, or ``None`` if it meets all.
        pushed: The pushed version, or ``None`` if nothing was pushed.
        ablation: What each column is worth, or ``None`` if the run is no ablation.
    """

    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    thresholds: Sequence[ThresholdResult] = ()
    blessed: bool | None = None
    skew: str | None = None
    baseline: str | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training: TrainingRecord | None = None
    tflite: Tflite | None = None
    tflite_refused: str | None = None
    pushed: Pushed | None = None
    ablation: AblationReport | None = None


def read_node_outputs(reader: MetadataReader, config: Config, executions: Mapping[str, int]) -> NodeOutputs:
    """Reads what the finished nodes of one run produced.

    Args:
        reader: ML Metadata.
        config: The run's settings.
        executions: The run's executions by node.

    Raises:
        OSError: A file of an artifact cannot be read.
        ValueError: A file of an artifact is damaged.
    """
    output = functools.partial(_output, reader, executions)
    found: dict[str, Any] = {}
    if examples := output("ExampleGen", "examples"):
        found["left_out"] = read_left_out(Path(examples.uri))
    if statistics := output("StatisticsGen", "statistics"):
        found["rows"] = read_rows(Path(statistics.uri), split_names(statistics.properties))
    if model_run := output("Trainer", "model_run"):
        found["hyperparameters"] = read_hyperparameters(Path(model_run.uri))
        found["training"] = read_training(Path(model_run.uri))
    if ablation := output(ABLATION, "report"):
        found["ablation"] = read_ablation(Path(ablation.uri))
    if guard := output("SkewGuard", "blessing"):
        found["skew"] = read_blessing(guard.properties).reason
    if evaluation := output("Evaluator", "evaluation"):
        metrics = read_metrics(evaluation.uri)
        blessing = output("Evaluator", "blessing")
        found["metrics"] = {name: metrics.slices[OVERALL].values[name] for name in config.metric_names}
        found["thresholds"] = check_all(config.policy.thresholds, metrics.value, metrics.has_baseline)
        found["blessed"] = bool(blessing and read_blessing(blessing.properties).blessed)
        baseline = reader.input(executions["Evaluator"], "baseline_model")
        found["baseline"] = last_pushed_version(reader, baseline.id) if baseline else None
    pushed_model = output("Pusher", "pushed_model")
    push = read_push(pushed_model.properties) if pushed_model else None
    if push:
        found["pushed"] = Pushed(push.version, push.destination)
    exported = output("TfliteExporter", "tflite_model")
    if exported and (Path(exported.uri) / REPORT_FILE).exists():
        report = read_tflite_report(Path(exported.uri))
        found["thresholds"] = [*found.get("thresholds", ()), *report.bounds]
        found["tflite"] = _tflite(report, push)
        found["tflite_refused"] = report.reason or None
    return NodeOutputs(**found)


def _output(reader: MetadataReader, executions: Mapping[str, int], node: str, key: str) -> Artifact | None:
    return reader.output(executions[node], key) if node in executions else None


def _tflite(report: TfliteReport, push: Push | None) -> Tflite:
    """Summarizes the report. The size is that of the pushed file, which has the version in its metadata."""
    path = push.tflite if push else None
    values = {field.name: getattr(report, field.name) for field in dataclasses.fields(Tflite) if field.name != "path"}
    if path and Path(path).exists():
        values["bytes"] = Path(path).stat().st_size
    return Tflite(path=path, **values)
