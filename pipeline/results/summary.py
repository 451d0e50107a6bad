"""``summary.json``: what a run did, in one record."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pipeline.nodes import Node

Kind = Literal["value", "change"]
Comparison = Literal[">=", "<="]
Status = Literal["pushed", "not_blessed", "anomalies", "failed", "partial"]


@dataclasses.dataclass(frozen=True)
class ThresholdResult:
    """One bound of the blessing policy, held against the candidate.

    Attributes:
        metric: The metric.
        slice: ``overall``, or ``column=value`` pairs.
        kind: ``value``, or ``change`` from the baseline.
        comparison: ``>=`` or ``<=``: how the value has to stand to the bound.
        bound: The bound.
        value: What was measured; ``None`` where there is nothing to measure.
        ok: Whether the bound is kept. A change without a baseline is.
    """

    metric: str
    slice: str
    kind: Kind
    comparison: Comparison
    bound: float
    value: float | None
    ok: bool


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A pushed version and the folder that it is in."""

    version: str
    path: str


@dataclasses.dataclass(frozen=True)
class Tflite:
    """The model for devices, as the exporter measured it on the eval split.

    Attributes:
        path: The pushed file; ``None`` if it was not pushed.
        bytes: Its size.
        quantization: How the network is quantized.
        builtin_only: Whether it runs on TFLite's builtin operators alone.
        max_abs_diff: Largest difference from the SavedModel's predictions, relative above 1; this and the next ones
            are ``None`` where they are not defined.
        metric: ``auc``, ``accuracy`` or ``r2``.
        saved_model: That metric of the SavedModel.
        tflite: That metric of the TFLite model.
        p50_ms: Median time for a row, in milliseconds, on one thread.
        p99_ms: The time that 1 % of the rows exceed.
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
class Training:
    """How the candidate was trained.

    Attributes:
        strategy: How it was spread: ``training.strategy``, or what ``auto`` chose.
        workers: Processes that took steps.
        replicas: Parts that each batch was split into.
        steps: Steps taken.
        steps_per_second: Without the first interval between checkpoints, in which TensorFlow traces; this and the next
            one are ``None`` where there was no other.
        input_wait: Share of that time in which training waited for rows.
        logs: Folder that TensorBoard reads.
    """

    strategy: str
    workers: int
    replicas: int
    steps: int
    steps_per_second: float | None
    input_wait: float | None
    logs: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the nodes of a run left in ML Metadata.

    Attributes:
        rows: Rows by split.
        metrics: The candidate's metrics on the eval split, over all rows.
        thresholds: The blessing policy, held against the candidate, and the bounds of the TFLite model.
        blessed: The Evaluator's decision; ``None`` if it made none.
        skew: Where serving differs from training, in one line; ``None`` if it does not.
        baseline: Version of the model that the candidate was compared with.
        hyperparameters: Those that the candidate was trained with.
        training: How it was trained; ``None`` if it was not.
        tflite: The model for devices; ``None`` if none was exported.
        tflite_refused: The bounds that it does not keep, in one line; ``None`` if it keeps all.
        pushed: The pushed version.
    """

    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    thresholds: Sequence[ThresholdResult] = ()
    blessed: bool | None = None
    skew: str | None = None
    baseline: str | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training: Training | None = None
    tflite: Tflite | None = None
    tflite_refused: str | None = None
    pushed: Pushed | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """One run; the fields are those of ``summary.json``.

    Attributes:
        run_id: The run; ``None`` if it was refused before it began.
        problem: Name of the problem.
        status: ``pushed``, ``not_blessed``, ``anomalies``, ``failed``, or ``partial`` where ``--to`` ended a run
            before the Pusher.
        nodes: How each node went.
        rows: Rows by split.
        metrics: The candidate's metrics on the eval split, over all rows.
        thresholds: The blessing policy, held against the candidate, and the bounds of the TFLite model.
        baseline: Version of the model that the candidate was compared with.
        hyperparameters: Those that the candidate was trained with.
        training: How it was trained; ``None`` if it was not.
        pushed: The pushed version.
        tflite: The model for devices; ``None`` if none was exported.
        error: Why it failed, where serving differs from training, or what bound the TFLite model does not keep, in
            one line.
        seconds: Wall time, imports included.
    """

    run_id: str | None
    problem: str | None
    status: Status
    nodes: Sequence[Node]
    rows: Mapping[str, int]
    metrics: Mapping[str, float]
    thresholds: Sequence[ThresholdResult]
    baseline: str | None
    hyperparameters: Mapping[str, Any]
    training: Training | None
    pushed: Pushed | None
    tflite: Tflite | None
    error: str | None
    seconds: float

    def to_json(self) -> str:
        """The record as JSON; numbers that JSON does not have become null."""
        return json.dumps(_finite(dataclasses.asdict(self)), indent=2, ensure_ascii=False, allow_nan=False)


def refused(problem: str | None, error: str, run_id: str | None = None) -> Summary:
    """The summary of a run that was refused before any node ran."""
    return Summary(
        run_id=run_id,
        problem=problem,
        status="failed",
        nodes=(),
        rows={},
        metrics={},
        thresholds=(),
        baseline=None,
        hyperparameters={},
        training=None,
        pushed=None,
        tflite=None,
        error=error,
        seconds=0.0,
    )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
