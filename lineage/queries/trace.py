"""``trace``: everything that an artifact came from."""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from artifacts.files import UNREADABLE
from artifacts.fingerprint import matches_fingerprint
from artifacts.names import INPUT_FINGERPRINT, SPAN, VERSION
from artifacts.nodes.blessing import read_blessing
from artifacts.nodes.data_source import DataSource
from artifacts.nodes.push import read_push
from artifacts.nodes.statistics import read_readable_rows, split_names
from artifacts.nodes.training import read_hyperparameters
from artifacts.nodes.trials import read_trials
from lineage.errors import LineageError
from lineage.graph.walker import GraphWalker
from lineage.queries.find_artifact import find_target, provenance_of, unknown_version
from lineage.queries.pushed_version import PUSHED_MODEL, last_pushed_version
from lineage.queries.results import Blessing, EarlierModel, NamedArtifact, NamedTrace, Trace, TracedData
from lineage.records import Artifact, Execution, LineageGraph
from lineage.store.connection import reading
from lineage.store.reader import MetadataReader

EXAMPLES, STATISTICS, ANOMALIES, SCHEMA = "Examples", "ExampleStatistics", "ExampleAnomalies", "Schema"
TRANSFORM_GRAPH, MODEL, EVALUATION = "TransformGraph", "Model", "ModelEvaluation"
DATA_BLESSING, TFLITE_MODEL = "custom_components.DataBlessing", "custom_components.TfliteModel"
BLESSINGS = (DATA_BLESSING, "InfraBlessing", "ModelBlessing", TFLITE_MODEL)
# Checks of the data have no output that leads to the model, so those of the run that made the model are added.
DATA_CHECKS = (STATISTICS, ANOMALIES, DATA_BLESSING)
WARM_START = "base_model"  # the Trainer's input
SHA256 = re.compile(r"[0-9a-f]{64}")
TFX_PROPERTIES = ("tfx_version", "is_external")


def trace_by_name(output: Path, name: str) -> NamedTrace:
    """Traces what the user named. The folder of a pushed version has its provenance even without a store.

    Args:
        output: The output folder of the runs.
        name: A name as in :func:`lineage.queries.find_artifact.find_target`.

    Raises:
        LineageError: Nothing has this name, or the store cannot be read and there is no provenance either.
    """
    provenance = provenance_of(name)
    try:
        with reading(output) as reader:
            artifact, provenance = find_target(reader, output, name, provenance)
            story = trace(reader, artifact) if artifact else None
    except LineageError as error:
        if provenance is None:
            raise
        return NamedTrace(provenance, str(error), None)
    return NamedTrace(provenance, None if story else unknown_version(output), story)


def trace(reader: MetadataReader, artifact: Artifact) -> Trace:
    """Returns everything that an artifact came from."""
    return _Tracer(reader, artifact).trace()


def named(graph: LineageGraph, artifact: Artifact) -> NamedArtifact:
    """Adds an artifact's name and run, as far as its producer is in the graph."""
    producer = graph.producer(artifact.id)
    return NamedArtifact(artifact.id, graph.name(artifact.id), artifact.uri, producer.run_id if producer else None)


class _Tracer:
    """Reads the ancestors of one artifact once, and derives the fields of the trace from them."""

    def __init__(self, reader: MetadataReader, artifact: Artifact) -> None:
        self._reader = reader
        self._walker = GraphWalker(reader)
        self._artifact = artifact
        self._graph = self._ancestors()
        self._runs = reader.runs_by_id({each.run_id for each in self._graph.executions.values() if each.run_id})

    def trace(self) -> Trace:
        graph = self._graph
        models = [each for each in graph.of_type(MODEL) if graph.producer(each.id)]
        trainer = graph.producer(models[-1].id) if models else None
        push = read_push(self._artifact.properties) if self._artifact.type == PUSHED_MODEL else None
        references = {event.artifact_id for event in graph.events if event.direction == "reference"}
        warm_starts = {event.artifact_id for event in graph.events if event.key == WARM_START}
        return Trace(
            artifact=named(graph, self._artifact),
            type=self._artifact.type,
            version=push.version if push else None,
            pushed_to=push.destination if push else None,
            tflite_path=push.tflite if push else None,
            data=self._data(),
            rows=self._rows(),
            statistics=self._named(STATISTICS),
            anomalies=self._named(ANOMALIES),
            schema=self._named(SCHEMA),
            transform_graph=self._named(TRANSFORM_GRAPH),
            model=[named(graph, each) for each in models],
            hyperparameters=self._hyperparameters(trainer),
            trials=self._trials(trainer),
            code=_code_digests(graph),
            evaluation=self._named(EVALUATION),
            metrics=self._metrics(),
            judgements=[self._blessing(each) for type_name in BLESSINGS for each in graph.of_type(type_name)],
            baseline=self._earlier_models(references),
            warm_start=self._earlier_models(warm_starts),
            tflite=self._tflite(),
            runs=sorted(self._runs.values(), key=lambda run: run.context_id),
            nodes=[f"{each.node}:{each.id}" for each in graph.executions.values()],
        )

    def _ancestors(self) -> LineageGraph:
        """Returns all ancestors, with the blessings of a model and, if it has a Transform graph, the data checks."""
        walker, artifact = self._walker, self._artifact
        start = [artifact.id]
        if artifact.type == MODEL:
            start += [each.id for each in walker.products(artifact.id) if each.type in (*BLESSINGS, EVALUATION)]
        graph = walker.upstream(start)
        producer = graph.producer(artifact.id)
        run = self._reader.run(producer.run_id) if producer and graph.of_type(TRANSFORM_GRAPH) else None
        if run is None:
            return graph
        checks = [each.id for each in walker.of_run(run).artifacts.values() if each.type in DATA_CHECKS]
        return graph.union(walker.upstream(checks))

    def _named(self, type_name: str) -> list[NamedArtifact]:
        return [named(self._graph, each) for each in self._graph.of_type(type_name)]

    def _data(self) -> list[TracedData]:
        graph, found = self._graph, []
        for examples in graph.of_type(EXAMPLES):
            producer = graph.producer(examples.id)
            if producer is None or not graph.artifacts_of(producer.id, "input"):  # raw, not transformed
                found.append(_traced_data(named(graph, examples), examples, producer.properties if producer else {}))
        return found

    def _rows(self) -> Mapping[str, int]:
        statistics = self._graph.of_type(STATISTICS)
        if not statistics:
            return {}
        return read_readable_rows(Path(statistics[-1].uri), split_names(statistics[-1].properties))

    def _hyperparameters(self, trainer: Execution | None) -> dict[str, Any]:
        model_run = self._graph.artifacts_of(trainer.id, "output", "model_run") if trainer else []
        if model_run:
            with contextlib.suppress(*UNREADABLE):
                return read_hyperparameters(Path(model_run[0].uri))
        return {}

    def _trials(self, trainer: Execution | None) -> list[dict[str, Any]]:
        best = self._graph.artifacts_of(trainer.id, "input", "hyperparameters") if trainer else []
        tuner = self._graph.producer(best[0].id) if best else None
        results = self._graph.artifacts_of(tuner.id, "output", "tuner_results") if tuner else []
        if results:
            with contextlib.suppress(*UNREADABLE):
                return [trial.to_dict() for trial in read_trials(Path(results[0].uri))]
        return []

    def _metrics(self) -> Mapping[str, float]:
        """Returns the metrics of the evaluation, as recorded by the run that made it or by one that reused it."""
        evaluations = self._graph.of_type(EVALUATION)
        if not evaluations:
            return {}
        producer = self._graph.producer(evaluations[-1].id)
        run = self._runs.get(producer.run_id) if producer else None
        if run and run.metrics:
            return run.metrics
        events = self._reader.events_of_artifacts([evaluations[-1].id])
        executions = self._reader.executions(sorted({event.execution_id for event in events}))
        runs = self._reader.runs_by_id(dict.fromkeys(each.run_id for each in executions if each.run_id))
        return next((run.metrics for run in runs.values() if run.metrics), {})

    def _blessing(self, artifact: Artifact) -> Blessing:
        producer = self._graph.producer(artifact.id)
        decision = read_blessing(artifact.properties)
        return Blessing(
            **vars(named(self._graph, artifact)),
            judge=producer.node if producer else artifact.type,
            blessed=artifact.type == DATA_BLESSING or decision.blessed,
            reason=decision.reason,
        )

    def _earlier_models(self, artifact_ids: Iterable[int]) -> list[EarlierModel]:
        graph = self._walker.producers(artifact_ids)
        return [
            EarlierModel(**vars(named(graph, each)), version=last_pushed_version(self._reader, each.id))
            for each in graph.artifacts.values()
        ]

    def _tflite(self) -> dict[str, Any] | None:
        models = self._graph.of_type(TFLITE_MODEL)
        if not models:
            return None
        return {name: value for name, value in models[-1].properties.items() if name not in TFX_PROPERTIES}


def _traced_data(artifact: NamedArtifact, examples: Artifact, settings: Mapping[str, Any]) -> TracedData:
    fingerprint = examples.properties.get(INPUT_FINGERPRINT)
    source = DataSource.from_properties(settings)
    files, test = source.files(), source.test_files()
    return TracedData(
        **vars(artifact),
        source=str(source),
        span=_integer(examples.properties.get(SPAN)),
        version=_integer(examples.properties.get(VERSION)),
        fingerprint=fingerprint,
        files=[*files, *test],
        as_they_were=matches_fingerprint(files, fingerprint or "", test),
    )


def _integer(value: Any) -> int | None:
    return None if value is None or value == "" else int(value)


def _code_digests(graph: LineageGraph) -> dict[str, str]:
    """Returns the digest of the source code in each node's settings, from the newest execution of the node."""
    digests = {}
    for execution in graph.executions.values():
        for name in ("code", "custom_config"):
            value = execution.properties.get(name)
            settings = json.loads(value) if isinstance(value, str) and value.startswith("{") else {"code": value}
            if digest := _find_digest(settings):
                digests[execution.node] = digest
    return digests


def _find_digest(settings: Any) -> str | None:
    if not isinstance(settings, Mapping):
        return None
    code = settings.get("code")
    if isinstance(code, str) and SHA256.fullmatch(code):
        return code
    return next((digest for inner in settings.values() if (digest := _find_digest(inner))), None)
