import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tiny_runs import FIRST, MORE_STEPS, SAME, shared_runs

from lineage.records import Artifact
from lineage.store.reader import MetadataReader

Event = metadata_store_pb2.Event


@pytest.fixture
def store() -> metadata_store.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    return metadata_store.MetadataStore(config)


def execute(store: metadata_store.MetadataStore, *events: metadata_store_pb2.Event) -> tuple[int, list[int]]:
    """Writes an execution with one new artifact per event; returns their ids."""
    type_id = store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))
    execution_type = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Node"))
    pairs = [(metadata_store_pb2.Artifact(type_id=type_id), event) for event in events]
    execution, artifacts, _ = store.put_execution(metadata_store_pb2.Execution(type_id=execution_type), pairs, [])
    return execution, artifacts


def event(direction: int, *keys: str, index: int = 0) -> metadata_store_pb2.Event:
    steps = [Event.Path.Step(key=key) for key in keys]
    return Event(type=direction, path=Event.Path(steps=[*steps, Event.Path.Step(index=index)]))


def id_of(artifact: Artifact | None) -> int | None:
    return artifact.id if artifact else None


def test_inputs_and_outputs_are_found_by_key(store: metadata_store.MetadataStore) -> None:
    events = [
        event(Event.INPUT, "model"),
        event(Event.INPUT, "baseline_model"),
        event(Event.OUTPUT, "model"),
        event(Event.INTERNAL_OUTPUT, "selected"),
    ]
    execution, [given, baseline, made, _] = execute(store, *events)
    reader = MetadataReader(store)
    assert id_of(reader.input(execution, "model")) == given
    assert id_of(reader.input(execution, "baseline_model")) == baseline
    assert id_of(reader.output(execution, "model")) == made
    assert reader.output(execution, "baseline_model") is None
    assert reader.output(execution, "selected") is None
    assert reader.input(execution, "other") is None


@pytest.mark.parametrize("keys", [("model", "_Evaluator.blessing"), ("_Evaluator.blessing", "model")])
def test_an_input_under_a_condition_is_found_by_its_own_key(
    store: metadata_store.MetadataStore, keys: tuple[str, str]
) -> None:
    execution, [model] = execute(store, event(Event.INPUT, *keys))
    assert id_of(MetadataReader(store).input(execution, "model")) == model


def test_the_first_of_several_artifacts_is_returned(store: metadata_store.MetadataStore) -> None:
    events = [event(Event.OUTPUT, "examples", index=index) for index in (1, 0)]
    execution, [_, first] = execute(store, *events)
    assert id_of(MetadataReader(store).output(execution, "examples")) == first


def test_a_cached_execution_has_the_output_that_it_reused() -> None:
    reader = shared_runs().reader
    first, same, changed = (reader.finished_executions(run)["Trainer"] for run in (FIRST, SAME, MORE_STEPS))
    assert reader.output(first, "model") == reader.output(same, "model") is not None
    assert reader.output(changed, "model") != reader.output(first, "model")


def test_artifacts_are_read_by_type() -> None:
    reader = shared_runs().reader
    found = reader.artifacts_of_type("PushedModel")
    assert {each.type for each in found} == {"PushedModel"}
    assert reader.output(reader.finished_executions(FIRST)["Pusher"], "pushed_model") in found
    assert reader.artifacts_of_type("Nothing") == []
