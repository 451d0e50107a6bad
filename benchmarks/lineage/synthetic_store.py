"""Fills a store as years of runs do: most nodes are cached, and all runs use one schema."""

import datetime
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.recorded.origin import collect_origin
from lineage.recorded.provenance import Provenance, write_provenance
from lineage.recorded.run_recorder import RunRecorder
from lineage.store.messages import NODE_CONTEXT, PIPELINE_CONTEXT, RUN_CONTEXT

Event = metadata_store_pb2.Event
Execution = metadata_store_pb2.Execution
PROBLEM = "taxi"
# node: (inputs as (key, node, output), outputs as {key: type}, when it runs again)
DAG: dict[str, tuple[tuple[tuple[str, str, str], ...], dict[str, str], str]] = {
    "CuratedSchema": ((), {"schema": "Schema"}, "never"),
    "ExampleGen": ((), {"examples": "Examples"}, "data"),
    "StatisticsGen": ((("examples", "ExampleGen", "examples"),), {"statistics": "ExampleStatistics"}, "data"),
    "SchemaGen": ((("statistics", "StatisticsGen", "statistics"),), {"schema": "Schema"}, "data"),
    "ExampleValidator": (
        (("statistics", "StatisticsGen", "statistics"), ("schema", "CuratedSchema", "schema")),
        {"anomalies": "ExampleAnomalies"},
        "data",
    ),
    "AnomalyGate": (
        (("anomalies", "ExampleValidator", "anomalies"), ("schema", "CuratedSchema", "schema")),
        {"blessing": "custom_components.DataBlessing"},
        "data",
    ),
    "Transform": (
        (("examples", "ExampleGen", "examples"), ("schema", "CuratedSchema", "schema")),
        {"transform_graph": "TransformGraph", "transformed_examples": "Examples"},
        "data",
    ),
    "Tuner": (
        (("examples", "Transform", "transformed_examples"), ("transform_graph", "Transform", "transform_graph")),
        {"best_hyperparameters": "HyperParameters", "tuner_results": "TunerResults"},
        "data",
    ),
    "Trainer": (
        (
            ("examples", "Transform", "transformed_examples"),
            ("transform_graph", "Transform", "transform_graph"),
            ("hyperparameters", "Tuner", "best_hyperparameters"),
        ),
        {"model": "Model", "model_run": "ModelRun"},
        "always",
    ),
    "SkewGuard": (
        (("examples", "ExampleGen", "examples"), ("model", "Trainer", "model")),
        {"blessing": "InfraBlessing", "report": "custom_components.SkewReport"},
        "always",
    ),
    "LatestBlessedModel": ((), {}, "always"),
    "Evaluator": (
        (
            ("examples", "ExampleGen", "examples"),
            ("model", "Trainer", "model"),
            ("schema", "CuratedSchema", "schema"),
        ),
        {"blessing": "ModelBlessing", "evaluation": "ModelEvaluation"},
        "always",
    ),
    "TfliteExporter": (
        (("model", "Trainer", "model"), ("model_blessing", "Evaluator", "blessing")),
        {"tflite_model": "custom_components.TfliteModel"},
        "always",
    ),
    "Pusher": (
        (
            ("model", "Trainer", "model"),
            ("model_blessing", "Evaluator", "blessing"),
            ("infra_blessing", "SkewGuard", "blessing"),
            ("tflite_model", "TfliteExporter", "tflite_model"),
        ),
        {"pushed_model": "PushedModel"},
        "always",
    ),
}
# Events of the baseline, the latest blessed model.
BASELINE_EVENTS = {
    "LatestBlessedModel": ((Event.INTERNAL_OUTPUT, "model"),),
    "Evaluator": ((Event.INPUT, "baseline_model"),),
}
RUNS_PER_TABLE = 4  # runs on the same data, of which all but the first start with training
FIRST_VERSION = 1_700_000_000
SETTINGS = {"problem": {"features": {f"feature {number}": {"scale": "z_score"} for number in range(60)}}}


class NewExecution(NamedTuple):
    """An execution to write, with the artifacts that it makes and all its events."""

    node: str
    execution: metadata_store_pb2.Execution
    artifacts: list[metadata_store_pb2.Artifact]
    events: list[metadata_store_pb2.Event]


def version_of(run: int) -> str:
    """Returns the version that a run pushed."""
    return str(FIRST_VERSION + run)


class StoreFiller:
    """Writes runs to an empty store, as TFX's launcher does, with a few calls per run.

    Attributes:
        executions: Number of executions. SQLite numbers them from 1.
        artifacts: Number of artifacts.
    """

    def __init__(self, output: Path, artifacts_per_output: int) -> None:
        """Creates the store.

        Args:
            output: The output folder.
            artifacts_per_output: Number of artifacts in each output of a node, since TFX's outputs are lists.
        """
        output.mkdir(parents=True)
        connection = metadata_store_pb2.ConnectionConfig()
        connection.sqlite.filename_uri = str(output / "metadata.db")
        connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = metadata_store.MetadataStore(connection)
        self._output = output
        self._indices = range(artifacts_per_output)
        self._types, self._nodes = self._register()
        self._newest: dict[str, dict[str, list[int]]] = {}
        self._baseline: list[int] = []
        self._origin = collect_origin(SETTINGS, ["python", "local_runner.py", "--no-tune"])
        self.executions = self.artifacts = 0

    def fill(self, runs: int) -> None:
        """Adds runs."""
        for run in range(runs):
            name = f"run-{run:06d}"
            started = datetime.datetime.fromtimestamp(FIRST_VERSION + run, datetime.UTC)
            recorder = RunRecorder(self._store, name)
            recorder.begin(PROBLEM, started, self._origin)
            contexts = [
                self._store.get_context_by_type_and_name(*each).id
                for each in ((PIPELINE_CONTEXT, PROBLEM), (RUN_CONTEXT, name))
            ]
            self._put(contexts, [self._execute(node, run, position) for position, node in enumerate(DAG)])
            self._baseline = self._newest["Trainer"]["model"][:1]
            self._push(name, version_of(run))
            recorder.end("pushed", 100.0, version_of(run), {"auc": 0.95, "accuracy": 0.9})

    def _execute(self, node: str, run: int, position: int) -> NewExecution:
        """Returns an execution, its new artifacts, and its events."""
        inputs, outputs, changes = DAG[node]
        new = changes == "always" or run == 0 or (changes == "data" and run % RUNS_PER_TABLE == 0)
        number = self.executions + 1 + position
        created = [
            self._artifact(kind, f"{node}/{key}/{number}", run, index)
            for key, kind in outputs.items()
            for index in self._indices
        ]
        if new:
            ids = itertools.count(self.artifacts + 1)
            self._newest[node] = {key: [next(ids) for _ in self._indices] for key in outputs}
            self.artifacts += len(created)
        linked = [(Event.INPUT, key, self._newest[producer][output]) for key, producer, output in inputs]
        linked += [(Event.OUTPUT, key, self._newest[node][key]) for key in outputs]
        linked += [(kind, key, self._baseline) for kind, key in BASELINE_EVENTS.get(node, ())]
        events = [
            _event(kind, key, index, artifact_id=artifact, execution_id=number)
            for kind, key, artifacts in linked
            for index, artifact in enumerate(artifacts)
        ]
        execution = Execution(
            type_id=self._types[node],
            last_known_state=Execution.COMPLETE if new else Execution.CACHED,
            custom_properties={"custom_config": metadata_store_pb2.Value(string_value=json.dumps(SETTINGS))},
        )
        return NewExecution(node, execution, created if new else [], events)

    def _put(self, contexts: Sequence[int], executed: Sequence[NewExecution]) -> None:
        created = [artifact for each in executed for artifact in each.artifacts]
        ids, artifact_ids, _ = self._store.put_lineage_subgraph([each.execution for each in executed], created, [], [])
        assert (ids[0], ids[-1]) == (self.executions + 1, self.executions + len(executed))
        assert artifact_ids[-1] == self.artifacts
        self.executions += len(ids)
        self._store.put_events([event for each in executed for event in each.events])
        owned = iter(artifact_ids)
        attributions, associations = [], []
        for number, each in zip(ids, executed, strict=True):
            own = [next(owned) for _ in each.artifacts]
            for context in (*contexts, self._nodes[each.node]):
                associations.append(metadata_store_pb2.Association(execution_id=number, context_id=context))
                attributions += [metadata_store_pb2.Attribution(artifact_id=each, context_id=context) for each in own]
        self._store.put_attributions_and_associations(attributions, associations)

    def _push(self, run_id: str, version: str) -> None:
        """Creates the version's folder, without a model."""
        folder = self._output / "serving" / PROBLEM / version
        folder.mkdir(parents=True)
        pushed = f"/artifacts/Pusher/pushed_model/{self.executions}"
        write_provenance(folder, Provenance(PROBLEM, run_id, version, self._baseline[0], "", pushed))

    def _artifact(self, kind: str, folder: str, run: int, index: int) -> metadata_store_pb2.Artifact:
        artifact = metadata_store_pb2.Artifact(
            type_id=self._types[kind],
            uri=f"/artifacts/{folder}" if index == 0 else f"/artifacts/{folder}/{index}",
            state=metadata_store_pb2.Artifact.LIVE,
        )
        artifact.custom_properties["tfx_version"].string_value = "1.21.0"
        if kind == "PushedModel" and index == 0:
            artifact.custom_properties["pushed"].int_value = 1
            artifact.custom_properties["pushed_version"].string_value = version_of(run)
            artifact.custom_properties["pushed_destination"].string_value = f"/serving/{PROBLEM}/{version_of(run)}"
        return artifact

    def _register(self) -> tuple[dict[str, int], dict[str, int]]:
        """Registers all types and the nodes' contexts, and returns the ids of both by name."""
        store = self._store
        types, nodes = {}, {}
        for name in (PIPELINE_CONTEXT, RUN_CONTEXT, NODE_CONTEXT):
            types[name] = store.put_context_type(metadata_store_pb2.ContextType(name=name))
        for node, (_, outputs, _) in DAG.items():
            types[node] = store.put_execution_type(metadata_store_pb2.ExecutionType(name=node))
            for kind in outputs.values():
                types[kind] = store.put_artifact_type(metadata_store_pb2.ArtifactType(name=kind))
            context = metadata_store_pb2.Context(type_id=types[NODE_CONTEXT], name=f"{PROBLEM}.{node}")
            [nodes[node]] = store.put_contexts([context])
        return types, nodes


def _event(kind: int, key: str, index: int, **ids: int) -> metadata_store_pb2.Event:
    steps = [Event.Path.Step(key=key), Event.Path.Step(index=index)]
    return Event(type=kind, path=Event.Path(steps=steps), **ids)
