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
class Outcome:
    """What the nodes of a run left in ML Metadata.

    Attributes:
        rows: Rows by split.
        metrics: The candidate's metrics on the eval split, over all rows.
        thresholds: The blessing policy, held against the candidate.
        blessed: The Evaluator's decision; ``None`` if it made none.
        skew: Where serving differs from training, in one line; ``None`` if it does not.
        baseline: Version of the model that the candidate was compared with.
        hyperparameters: Those that the candidate was trained with.
        pushed: The pushed version.
    """

    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    thresholds: Sequence[ThresholdResult] = ()
    blessed: bool | None = None
    skew: str | None = None
    baseline: str | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
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
        thresholds: The blessing policy, held against the candidate.
        baseline: Version of the model that the candidate was compared with.
        hyperparameters: Those that the candidate was trained with.
        pushed: The pushed version.
        tflite: Always ``None``: there is no TFLite exporter yet.
        error: Why it failed, or where serving differs from training, in one line.
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
    pushed: Pushed | None
    tflite: None
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
