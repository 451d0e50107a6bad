"""``trace``: tells where an artifact came from."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ml_metadata import metadata_store

from lineage import contents
from lineage.graph import walk as graph
from lineage.graph.contexts import RUN
from lineage.queries.runs import to_run
from lineage.queries.trace_records import Data, Judgement, Made, OtherModel, Story
from lineage.records import Artifact, Execution, Lineage, Run

EXAMPLES, STATISTICS, ANOMALIES, SCHEMA = "Examples", "ExampleStatistics", "ExampleAnomalies", "Schema"
GRAPH, MODEL, EVALUATION, PUSHED = "TransformGraph", "Model", "ModelEvaluation", "PushedModel"
DATA_BLESSING, TFLITE = "custom_components.DataBlessing", "custom_components.TfliteModel"
JUDGEMENTS = (DATA_BLESSING, "InfraBlessing", "ModelBlessing", TFLITE)
# Of the run that made a model, what its data were held against: the gate lets them pass, and hands nothing on.
BESIDE = (STATISTICS, ANOMALIES, DATA_BLESSING)
WARM_START = "base_model"
DIGEST = re.compile(r"[0-9a-f]{64}")
OF_TFX = ("tfx_version", "is_external")


def trace(store: metadata_store.MetadataStore, artifact: Artifact) -> Story:
    """Tells everything that an artifact came from."""
    line = _ancestors(store, artifact)
    runs = _runs(store, {each.run_id for each in line.executions.values() if each.run_id})
    model = next((each for each in reversed(line.of_type(MODEL)) if line.producer(each.id)), None)
    trainer = line.producer(model.id) if model else None
    evaluations = line.of_type(EVALUATION)
    statistics = line.of_type(STATISTICS)
    properties = artifact.properties if artifact.type == PUSHED else {}
    return Story(
        artifact=made_in(line, artifact),
        type=artifact.type,
        version=properties.get("pushed_version"),
        pushed_to=properties.get("pushed_destination"),
        tflite_path=properties.get("pushed_tflite"),
        data=[_data(line, each) for each in line.of_type(EXAMPLES) if _is_raw(line, each)],
        rows=contents.rows(statistics[-1]) if statistics else {},
        statistics=[made_in(line, each) for each in statistics],
        anomalies=[made_in(line, each) for each in line.of_type(ANOMALIES)],
        schema=[made_in(line, each) for each in line.of_type(SCHEMA)],
        transform_graph=[made_in(line, each) for each in line.of_type(GRAPH)],
        model=[made_in(line, each) for each in line.of_type(MODEL) if line.producer(each.id)],
        hyperparameters=_hyperparameters(line, trainer),
        trials=_trials(line, trainer),
        code=_code(line),
        evaluation=[made_in(line, each) for each in evaluations],
        metrics=_metrics(store, line, evaluations[-1], runs) if evaluations else {},
        judgements=[_judgement(line, each) for kind in JUDGEMENTS for each in line.of_type(kind)],
        baseline=_others(store, {link.artifact_id for link in line.links if link.direction == "reference"}),
        warm_start=_others(store, {link.artifact_id for link in line.links if link.key == WARM_START}),
        tflite=next((_own_properties(each) for each in reversed(line.of_type(TFLITE))), None),
        runs=sorted(runs.values(), key=lambda run: run.context_id),
        nodes=[f"{each.node}:{each.id}" for each in line.executions.values()],
    )


def made_in(line: Lineage, artifact: Artifact) -> Made:
    """An artifact's name and the run that made it, as a part of the graph knows them."""
    maker = line.producer(artifact.id)
    return Made(artifact.id, line.name(artifact.id), artifact.uri, maker.run_id if maker else None)


def pushed_as(store: metadata_store.MetadataStore, model_id: int) -> str | None:
    """The version that a model was last pushed as."""
    pushes = [each.properties.get("pushed_version") for each in graph.products(store, model_id) if each.type == PUSHED]
    return next((version for version in reversed(pushes) if version), None)


def _ancestors(store: metadata_store.MetadataStore, artifact: Artifact) -> Lineage:
    """All ancestors; of a model its judges too, and of what a Transform graph went into the data's statistics."""
    start = [artifact.id]
    if artifact.type == MODEL:
        start += [each.id for each in graph.products(store, artifact.id) if each.type in (*JUDGEMENTS, EVALUATION)]
    line = graph.upstream(store, start)
    maker = line.producer(artifact.id)
    context = store.get_context_by_type_and_name(RUN, maker.run_id) if maker and line.of_type(GRAPH) else None
    if context is None:
        return line
    beside = [each.id for each in graph.of_run(store, context.id).artifacts.values() if each.type in BESIDE]
    return graph.together(line, graph.upstream(store, beside))


def _runs(store: metadata_store.MetadataStore, names: Iterable[str]) -> dict[str, Run]:
    contexts = [store.get_context_by_type_and_name(RUN, name) for name in names]
    return {context.name: to_run(context) for context in contexts if context}


def _is_raw(line: Lineage, examples: Artifact) -> bool:
    maker = line.producer(examples.id)
    return maker is None or not line.linked(maker.id, "input")


def _data(line: Lineage, examples: Artifact) -> Data:
    maker = line.producer(examples.id)
    settings = maker.properties if maker else {}
    fingerprint = examples.properties.get("input_fingerprint")
    files = contents.data_files(settings)
    return Data(
        **vars(made_in(line, examples)),
        source=contents.source(settings),
        span=_number(examples.properties.get("span")),
        version=_number(examples.properties.get("version")),
        fingerprint=fingerprint,
        files=files,
        as_they_were=contents.are_as_they_were(files, fingerprint or ""),
    )


def _number(value: Any) -> int | None:
    return None if value is None or value == "" else int(value)


def _hyperparameters(line: Lineage, trainer: Execution | None) -> dict[str, Any]:
    found = line.linked(trainer.id, "output", "model_run") if trainer else []
    return contents.hyperparameters(found[0]) if found else {}


def _trials(line: Lineage, trainer: Execution | None) -> list[dict[str, Any]]:
    best = line.linked(trainer.id, "input", "hyperparameters") if trainer else []
    tuner = line.producer(best[0].id) if best else None
    found = line.linked(tuner.id, "output", "tuner_results") if tuner else []
    return contents.trials(found[0]) if found else []


def _code(line: Lineage) -> dict[str, str]:
    """The digest of its sources that a node's settings hold, by node; the newest execution's."""
    found = {}
    for execution in line.executions.values():
        for name in ("code", "custom_config"):
            value = execution.properties.get(name)
            digest = _digest(json.loads(value) if isinstance(value, str) and value.startswith("{") else {"code": value})
            if digest:
                found[execution.node] = digest
    return found


def _digest(settings: Any) -> str | None:
    if not isinstance(settings, Mapping):
        return None
    code = settings.get("code")
    if isinstance(code, str) and DIGEST.fullmatch(code):
        return code
    return next((found for inner in settings.values() if (found := _digest(inner))), None)


def _metrics(
    store: metadata_store.MetadataStore, line: Lineage, evaluation: Artifact, runs: Mapping[str, Run]
) -> Mapping[str, float]:
    """An evaluation's metrics, as the run recorded them that made it, or one whose Evaluator gave it out again."""
    maker = line.producer(evaluation.id)
    if maker and maker.run_id in runs and runs[maker.run_id].metrics:
        return runs[maker.run_id].metrics
    events = store.get_events_by_artifact_ids([evaluation.id])
    again = graph.of_executions(store, {event.execution_id for event in events}).executions.values()
    others = _runs(store, {each.run_id for each in again if each.run_id}).values()
    return next((run.metrics for run in others if run.metrics), {})


def _judgement(line: Lineage, artifact: Artifact) -> Judgement:
    maker = line.producer(artifact.id)
    return Judgement(
        **vars(made_in(line, artifact)),
        judge=maker.node if maker else artifact.type,
        blessed=artifact.type == DATA_BLESSING or bool(artifact.properties.get("blessed")),
        reason=artifact.properties.get("reason") or None,
    )


def _others(store: metadata_store.MetadataStore, ids: Iterable[int]) -> list[OtherModel]:
    line = graph.makers(store, ids)
    return [
        OtherModel(**vars(made_in(line, each)), version=pushed_as(store, each.id)) for each in line.artifacts.values()
    ]


def _own_properties(artifact: Artifact) -> dict[str, Any]:
    return {name: value for name, value in artifact.properties.items() if name not in OF_TFX}
