"""Results of the queries. Their fields are the keys of the JSON that the commands print."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lineage.recorded.provenance import Provenance
from lineage.records import RunRecord, State

ChangeKind = Literal["data", "schema", "features", "settings", "code", "input"]


@dataclasses.dataclass(frozen=True)
class NamedArtifact:
    """An artifact, with its name and its run.

    Attributes:
        id: Id in ML Metadata.
        name: ``<node>.<key>:<id>``.
        uri: Its folder.
        run_id: The run that made it.
    """

    id: int
    name: str
    uri: str
    run_id: str | None


@dataclasses.dataclass(frozen=True)
class NodeSummary:
    """A node of a run.

    Attributes:
        node: Id of the node.
        state: What it did in the run.
        seconds: Wall time.
        outputs: Names of the artifacts that it returned.
        same_as: The run that made these artifacts, if it was another one.
    """

    node: str
    state: State
    seconds: float
    outputs: Sequence[str]
    same_as: str | None


@dataclasses.dataclass(frozen=True)
class RunDetails(RunRecord):
    """A run with its nodes.

    Attributes:
        nodes: Nodes in the order of their executions.
    """

    nodes: Sequence[NodeSummary]


@dataclasses.dataclass(frozen=True)
class TracedData(NamedArtifact):
    """The input data that a run read.

    Attributes:
        source: Folder with file pattern, or query.
        span: TFX's span.
        version: TFX's version within the span, or ``None`` if the pattern has none.
        fingerprint: Number, size and content digest of the files. For runs of earlier versions of this project, TFX's
            fingerprint: number, size and modification times.
        files: Files that match the pattern now.
        as_they_were: Whether these files still have the fingerprint, or ``None`` if this is unknown.
    """

    source: str
    span: int | None
    version: int | None
    fingerprint: str | None
    files: Sequence[str]
    as_they_were: bool | None


@dataclasses.dataclass(frozen=True)
class Blessing(NamedArtifact):
    """The decision of a node that checks data or models.

    Attributes:
        judge: Id of the node.
        blessed: The decision.
        reason: Why it was not blessed, in one line, if the node recorded a reason.
    """

    judge: str
    blessed: bool
    reason: str | None


@dataclasses.dataclass(frozen=True)
class EarlierModel(NamedArtifact):
    """A model of an earlier run.

    Attributes:
        version: The version that it was last pushed as, or ``None`` if it was not pushed.
    """

    version: str | None


@dataclasses.dataclass(frozen=True)
class Trace:
    """Everything that an artifact came from. Fields for which it has no ancestors are empty or ``None``.

    Attributes:
        artifact: The artifact.
        type: Its type.
        version: The version, for a pushed model.
        pushed_to: The folder that TensorFlow Serving loads, for a pushed model.
        tflite_path: The file that LiteRT loads, for a pushed model with one.
        data: Input data.
        rows: Number of rows by split.
        statistics: Statistics of the data.
        anomalies: Anomalies of the data against the schema.
        schema: Schemas.
        transform_graph: Transform graphs.
        model: The model, after the models from which training started warm.
        hyperparameters: Hyperparameters of the model.
        trials: Trials of the Tuner that found these hyperparameters, best first.
        code: Digest of each node's source code.
        evaluation: Evaluations.
        metrics: Metrics on the eval split, overall slice.
        judgements: Blessings of the data and the model.
        baseline: Models that the model was compared with.
        warm_start: Models from which training started warm.
        tflite: Properties of the TFLite model.
        runs: The runs that made all this, oldest first.
        nodes: All executions among the ancestors as ``<node>:<id>``, oldest first.
    """

    artifact: NamedArtifact
    type: str
    version: str | None = None
    pushed_to: str | None = None
    tflite_path: str | None = None
    data: Sequence[TracedData] = ()
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    statistics: Sequence[NamedArtifact] = ()
    anomalies: Sequence[NamedArtifact] = ()
    schema: Sequence[NamedArtifact] = ()
    transform_graph: Sequence[NamedArtifact] = ()
    model: Sequence[NamedArtifact] = ()
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trials: Sequence[Mapping[str, Any]] = ()
    code: Mapping[str, str] = dataclasses.field(default_factory=dict)
    evaluation: Sequence[NamedArtifact] = ()
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    judgements: Sequence[Blessing] = ()
    baseline: Sequence[EarlierModel] = ()
    warm_start: Sequence[EarlierModel] = ()
    tflite: Mapping[str, Any] | None = None
    runs: Sequence[RunRecord] = ()
    nodes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class NamedTrace:
    """The trace of what the user named.

    Attributes:
        provenance: ``provenance.json`` of a pushed version, or ``None`` if there is no such file.
        note: Why there is no trace, in one line.
        story: The trace, or ``None`` if the store does not have the version or cannot be read.
    """

    provenance: Provenance | None
    note: str | None
    story: Trace | None


@dataclasses.dataclass(frozen=True)
class PushedVersion(NamedArtifact):
    """A pushed version.

    Attributes:
        version: The version.
        pushed_to: The folder that TensorFlow Serving loads.
        tflite_path: The file that LiteRT loads, or ``None`` if none was pushed.
    """

    version: str
    pushed_to: str
    tflite_path: str | None


@dataclasses.dataclass(frozen=True)
class Impact:
    """Everything that was made from an artifact.

    Attributes:
        artifact: The artifact.
        type: Its type.
        models: Models that were trained from it.
        versions: Versions of these models that were pushed.
        others: Number of other artifacts by type.
        failed: Executions downstream of it that failed, as ``<node>:<id>``.
        runs: The runs of all this, oldest first.
        baseline_of: Models that were compared with it. They were not made from it.
    """

    artifact: NamedArtifact
    type: str
    models: Sequence[NamedArtifact]
    versions: Sequence[PushedVersion]
    others: Mapping[str, int]
    failed: Sequence[str]
    runs: Sequence[str]
    baseline_of: Sequence[NamedArtifact]


@dataclasses.dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        kind: The kind of thing that differs.
        what: Its name: dotted key of a setting, name of an input, or path in the schema.
        before: The value before, or ``None`` if it was missing.
        after: The value after, or ``None`` if it is missing.
        nodes: The nodes with this setting or input. Empty for a setting of the run.
    """

    kind: ChangeKind
    what: str
    before: Any
    after: Any
    nodes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class MetricChange:
    """A metric of two runs on the eval split, overall slice, or ``None`` for a run that does not have it."""

    metric: str
    before: float | None
    after: float | None


@dataclasses.dataclass(frozen=True)
class NodeChange:
    """A node in two runs.

    Attributes:
        node: Id of the node.
        before: Its state in the first run, or ``None`` if it was not in the run.
        after: Its state in the second run, or ``None`` if it was not in the run.
        same_outputs: Whether both runs have the same artifacts, or ``None`` if one has none.
    """

    node: str
    before: State | None
    after: State | None
    same_outputs: bool | None


@dataclasses.dataclass(frozen=True)
class RunDiff:
    """Differences between two runs.

    Attributes:
        before: The first run.
        after: The second run.
        changes: Differences in data, schema, features, settings and code.
        metrics: All metrics of both runs.
        nodes: All nodes of both runs.
    """

    before: RunRecord
    after: RunRecord
    changes: Sequence[Change]
    metrics: Sequence[MetricChange]
    nodes: Sequence[NodeChange]

    def of_kind(self, kind: ChangeKind) -> list[Change]:
        """Returns the changes of one kind."""
        return [change for change in self.changes if change.kind == kind]


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a node ran or was cached in a run.

    Attributes:
        node: Id of the node.
        run_id: The run.
        state: What the node did.
        because: The reason in one line.
        same_as: The run that made the reused outputs, or ``None`` if the node ran.
        compared_with: The run of the previous execution, or ``None`` if there is none.
        changes: Differences from the previous execution.
        back_to: Reasons of the upstream nodes where the changes of the inputs started.
    """

    node: str
    run_id: str
    state: State
    because: str
    same_as: str | None = None
    compared_with: str | None = None
    changes: Sequence[Change] = ()
    back_to: Sequence["Reason"] = ()
