"""``impact``: everything that was made from an artifact."""

import collections
from collections.abc import Sequence

from artifacts.nodes.push import read_push
from lineage.graph.walker import GraphWalker
from lineage.queries.pushed_version import PUSHED_MODEL
from lineage.queries.results import Impact, NamedArtifact, PushedVersion
from lineage.queries.trace import MODEL, named
from lineage.records import Artifact, LineageGraph
from lineage.store.reader import MetadataReader


def impact(reader: MetadataReader, artifact: Artifact) -> Impact:
    """Returns everything that was made from an artifact."""
    graph = GraphWalker(reader).downstream([artifact.id])
    products = [each for each in graph.artifacts.values() if each.id != artifact.id]
    others = collections.Counter(each.type for each in products if each.type not in (MODEL, PUSHED_MODEL))
    consumers = [each for each in graph.executions.values() if graph.artifacts_of(each.id, "input")]
    return Impact(
        artifact=named(graph, artifact),
        type=artifact.type,
        models=[named(graph, each) for each in products if each.type == MODEL],
        versions=_pushed_versions(graph, products),
        others=dict(sorted(others.items())),
        failed=[f"{each.node}:{each.id}" for each in consumers if each.state == "failed"],
        runs=sorted({each.run_id for each in consumers}),
        baseline_of=_compared_models(reader, artifact) if artifact.type == MODEL else [],
    )


def _pushed_versions(graph: LineageGraph, artifacts: Sequence[Artifact]) -> list[PushedVersion]:
    pushes = [(each, read_push(each.properties)) for each in artifacts]
    return [
        PushedVersion(
            **vars(named(graph, each)), version=push.version, pushed_to=push.destination, tflite_path=push.tflite
        )
        for each, push in pushes
        if push
    ]


def _compared_models(reader: MetadataReader, baseline: Artifact) -> list[NamedArtifact]:
    """Returns the models that were compared with a baseline."""
    walker = GraphWalker(reader)
    events = reader.events_of_artifacts([baseline.id])
    graph = walker.of_executions({event.execution_id for event in events if event.direction == "reference"})
    compared = {each.id for execution in graph.executions for each in graph.artifacts_of(execution, "input", "model")}
    producers = walker.producers(compared)
    return [named(producers, each) for each in producers.artifacts.values()]
