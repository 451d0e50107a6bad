"""``summary.json``: the result of a run in one record."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from artifacts.files import finite, read_object, to_record
from artifacts.nodes.ablation import AblationReport, to_ablation
from artifacts.nodes.training import TrainingRecord
from artifacts.thresholds import ThresholdResult
from common.terminal import printable_json

Status = Literal["pushed", "not_blessed", "anomalies", "failed", "partial"]
State = Literal["ran", "cached", "skipped", "failed"]


@dataclasses.dataclass(frozen=True)
class Node:
    """State and duration of one node in a run.

    Attributes:
        id: Name of the node.
        state: ``ran``, ``cached`` (outputs reused from an earlier run), ``skipped`` (not requested, or downstream of a
            failed node) or ``failed``.
        seconds: Wall time.
        upstream: Names of the nodes that have to finish first.
    """

    id: str
    state: State
    seconds: float = 0.0
    upstream: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A pushed version and its folder."""

    version: str
    path: str


@dataclasses.dataclass(frozen=True)
class Tflite:
    """The TFLite model, with the measurements of the exporter on the eval split.

    Attributes:
        path: The pushed file, or ``None`` if it was not pushed.
        bytes: Its size.
        quantization: Quantization of the network.
        builtin_only: Whether it needs only TFLite's builtin operators.
        max_abs_diff: Maximum difference from the SavedModel's predictions, relative for predictions above 1. This and
            the figures below are ``None`` if undefined.
        metric: ``auc``, ``accuracy`` or ``r2``.
        saved_model: The metric of the SavedModel.
        tflite: The metric of the TFLite model.
        p50_ms: Median latency of one row on one thread, in milliseconds.
        p99_ms: 99th percentile of the latency.
    """

    path: str | None
    bytes: int
    quantization: str
    builtin_only: bool
    max_abs_diff: float | None
    metric: str
    saved_model: float | None
    tflite: float | None
    p50_ms: float
    p99_ms: float


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """The result of a run. Its fields are those of ``summary.json``.

    Attributes:
        run_id: The run, or ``None`` if it was rejected before it started.
        problem: Name of the problem.
        status: ``pushed``, ``not_blessed``, ``anomalies``, ``failed``, or ``partial`` if ``--to`` ended the run before
            the Pusher.
        nodes: The result of each node.
        rows: Number of rows by split.
        left_out: Number of rows that are in no split, by reason.
        warnings: What to know before trusting the model, one line each.
        metrics: The candidate's metrics over all rows of the eval split.
        thresholds: The bounds of the blessing policy and of the TFLite model, with the measured values.
        baseline: Version of the model that the candidate was compared with.
        hyperparameters: The hyperparameters of the candidate.
        training: How the candidate was trained, or ``None`` if it was not.
        pushed: The pushed version, or ``None`` if nothing was pushed.
        tflite: The TFLite model, or ``None`` if none was exported.
        ablation: What each column is worth, or ``None`` if the run is no ablation, whose file then lacks the key.
        error: Why the run failed or the model was not blessed, in one line.
        seconds: Wall time, imports included.
    """

    run_id: str | None
    problem: str | None
    status: Status
    nodes: Sequence[Node] = ()
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    warnings: Sequence[str] = ()
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    thresholds: Sequence[ThresholdResult] = ()
    baseline: str | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training: TrainingRecord | None = None
    pushed: Pushed | None = None
    tflite: Tflite | None = None
    ablation: AblationReport | None = None
    error: str | None = None
    seconds: float = 0.0

    def to_json(self) -> str:
        """Returns the record as JSON. Numbers that JSON cannot represent become null."""
        values = dataclasses.asdict(self)
        if self.ablation is None:
            del values["ablation"]
        document = json.dumps(finite(values), indent=2, ensure_ascii=False, allow_nan=False)
        return printable_json(document)


def failed_summary(problem: str | None, error: str, run_id: str | None = None) -> RunSummary:
    """Returns the summary of a run that failed before any node ran."""
    return RunSummary(run_id, problem, "failed", error=error)


def read_summary(path: Path) -> RunSummary:
    """Reads a ``summary.json``. Undefined metrics become NaN, and incomplete records of earlier versions ``None``.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a summary.
    """
    values = read_object(path)
    try:
        metrics = {name: math.nan if each is None else float(each) for name, each in values["metrics"].items()}
        nested = {
            "nodes": [to_record(Node, each, path) for each in values["nodes"]],
            "thresholds": [to_record(ThresholdResult, each, path) for each in values["thresholds"]],
            "metrics": metrics,
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: found no summary of a run; expected a file that a run wrote") from error
    kinds: Mapping[str, type[Any]] = {"training": TrainingRecord, "pushed": Pushed, "tflite": Tflite}
    for name, kind in kinds.items():
        nested[name] = None
        if values.get(name):
            with contextlib.suppress(ValueError):  # a record of an earlier version, which had fewer fields
                nested[name] = to_record(kind, values[name], path)
    nested["ablation"] = None
    if values.get("ablation"):
        with contextlib.suppress(ValueError, AttributeError):
            nested["ablation"] = to_ablation(values["ablation"], path)
    return to_record(RunSummary, {**values, **nested}, path)
