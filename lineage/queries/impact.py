"""``impact``: everything that came from an artifact."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from ml_metadata import metadata_store

from lineage.graph import walk as graph
from lineage.graph.convert import to_link
from lineage.queries.trace import MODEL, PUSHED, made_in
from lineage.queries.trace_records import Made
from lineage.records import Artifact, Lineage


@dataclasses.dataclass(frozen=True)
class Version(Made):
    """A pushed version.

    Attributes:
        version: Its number.
        pushed_to: Folder that TensorFlow Serving loads.
        tflite_path: File that LiteRT loads; ``None`` if none was pushed.
    """

    version: str
    pushed_to: str
    tflite_path: str | None


@dataclasses.dataclass(frozen=True)
class Impact:
    """What came from an artifact.

    Attributes:
        artifact: The artifact.
        type: Its type.
        models: Models that were trained from it.
        versions: What was pushed of these.
        others: Number of other artifacts by type.
        failed: Executions that failed on it or on what came of it, as ``<node>:<id>``.
        runs: Runs that made any of this, oldest first.
        baseline_of: Models that were compared with it; nothing of it is in them.
    """

    artifact: Made
    type: str
    models: Sequence[Made]
    versions: Sequence[Version]
    others: Mapping[str, int]
    failed: Sequence[str]
    runs: Sequence[str]
    baseline_of: Sequence[Made]


def impact(store: metadata_store.MetadataStore, artifact: Artifact) -> Impact:
    """Tells everything that came from an artifact."""
    line = graph.downstream(store, [artifact.id])
    made = [each for each in line.artifacts.values() if each.id != artifact.id]
    others = collections.Counter(each.type for each in made if each.type not in (MODEL, PUSHED))
    users = [each for each in line.executions.values() if line.linked(each.id, "input")]
    return Impact(
        artifact=made_in(line, artifact),
        type=artifact.type,
        models=[made_in(line, each) for each in made if each.type == MODEL],
        versions=[_version(line, each) for each in made if each.properties.get("pushed_version")],
        others=dict(sorted(others.items())),
        failed=[f"{each.node}:{each.id}" for each in users if each.state == "failed"],
        runs=sorted({each.run_id for each in users}),
        baseline_of=_compared(store, artifact) if artifact.type == MODEL else [],
    )


def _version(line: Lineage, push: Artifact) -> Version:
    return Version(
        **vars(made_in(line, push)),
        version=push.properties["pushed_version"],
        pushed_to=push.properties.get("pushed_destination", ""),
        tflite_path=push.properties.get("pushed_tflite"),
    )


def _compared(store: metadata_store.MetadataStore, model: Artifact) -> list[Made]:
    """The models whose judge took this one as its baseline."""
    links = [link for event in store.get_events_by_artifact_ids([model.id]) if (link := to_link(event))]
    judges = graph.of_executions(store, {link.execution_id for link in links if link.direction == "reference"})
    judged = {each.id for number in judges.executions for each in judges.linked(number, "input", "model")}
    line = graph.makers(store, judged)
    return [made_in(line, each) for each in line.artifacts.values()]
