"""Where an artifact came from, in the terms of this pipeline: what ``trace`` prints."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lineage.records import Run


@dataclasses.dataclass(frozen=True)
class Made:
    """An artifact in a story.

    Attributes:
        id: In ML Metadata.
        name: ``<node>.<key>:<id>``.
        uri: Its folder.
        run_id: The run that made it.
    """

    id: int
    name: str
    uri: str
    run_id: str | None


@dataclasses.dataclass(frozen=True)
class Data(Made):
    """The table as a run read it.

    Attributes:
        source: Folder and pattern, or query, that it was read from.
        span: TFX's span.
        version: TFX's version within the span; ``None`` where the pattern has none.
        fingerprint: TFX's, over the number, size and times of the files.
        files: Files that are there now.
        as_they_were: Whether these have the fingerprint still; ``None`` where that cannot be told.
    """

    source: str
    span: int | None
    version: int | None
    fingerprint: str | None
    files: Sequence[str]
    as_they_were: bool | None


@dataclasses.dataclass(frozen=True)
class Judgement(Made):
    """What a judge said.

    Attributes:
        judge: The node.
        blessed: Its decision.
        reason: Why not, in one line, where it says so.
    """

    judge: str
    blessed: bool
    reason: str | None


@dataclasses.dataclass(frozen=True)
class OtherModel(Made):
    """An earlier model in a story, and the version that it was last pushed as."""

    version: str | None


@dataclasses.dataclass(frozen=True)
class Story:
    """Where an artifact came from; what is not among its ancestors is empty or ``None``.

    Attributes:
        artifact: The artifact.
        type: Its type.
        version: The pushed version, if it is one; so for the next two.
        pushed_to: Folder that TensorFlow Serving loads.
        tflite_path: File that LiteRT loads.
        data: The tables.
        rows: Rows by split.
        statistics: Statistics of the data.
        anomalies: What they have that the schema does not allow.
        schema: Schemas.
        transform_graph: Transform's graphs.
        model: The model, and before it those whose weights training began with.
        hyperparameters: Those that the model was trained with.
        trials: Trials of the Tuner that found them, best first.
        code: Digest of its sources by node.
        evaluation: Evaluations.
        metrics: What it found on the eval split, over all rows.
        judgements: Blessings.
        baseline: Models that judges compared with.
        warm_start: Models whose weights training began with.
        tflite: The model for devices, and what the exporter measured.
        runs: The runs that made all this, oldest first.
        nodes: All executions on the way, as ``<node>:<id>``, in order.
    """

    artifact: Made
    type: str
    version: str | None = None
    pushed_to: str | None = None
    tflite_path: str | None = None
    data: Sequence[Data] = ()
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    statistics: Sequence[Made] = ()
    anomalies: Sequence[Made] = ()
    schema: Sequence[Made] = ()
    transform_graph: Sequence[Made] = ()
    model: Sequence[Made] = ()
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trials: Sequence[Mapping[str, Any]] = ()
    code: Mapping[str, str] = dataclasses.field(default_factory=dict)
    evaluation: Sequence[Made] = ()
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    judgements: Sequence[Judgement] = ()
    baseline: Sequence[OtherModel] = ()
    warm_start: Sequence[OtherModel] = ()
    tflite: Mapping[str, Any] | None = None
    runs: Sequence[Run] = ()
    nodes: Sequence[str] = ()
