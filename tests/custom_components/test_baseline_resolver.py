import json
from collections.abc import Sequence
from pathlib import Path

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.types import Artifact
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from custom_components.baseline_resolver.strategy import LatestOtherBlessedModelStrategy, _label


@pytest.fixture
def store(tmp_path: Path) -> mlmd.MetadataStore:
    return mlmd.MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite")))


def stored(store: mlmd.MetadataStore, artifact: Artifact) -> Artifact:
    """Stores ``artifact`` in ML Metadata, which sets its id."""
    artifact.type_id = store.put_artifact_type(artifact.artifact_type)
    (artifact.id,) = store.put_artifacts([artifact.mlmd_artifact])
    return artifact


def output_of(store: mlmd.MetadataStore, artifact: Artifact, when: int, settings: str = "") -> None:
    """Records an execution, at a moment in milliseconds, that wrote ``artifact``."""
    type_id = store.put_execution_type(metadata_store_pb2.ExecutionType(name="tfx.Node"))
    execution = metadata_store_pb2.Execution(type_id=type_id)
    execution.custom_properties["custom_config"].string_value = settings
    event = metadata_store_pb2.Event(
        artifact_id=artifact.id, type=metadata_store_pb2.Event.OUTPUT, milliseconds_since_epoch=when
    )
    store.put_execution(execution, [(artifact.mlmd_artifact, event)], [])


def models(store: mlmd.MetadataStore, folder: Path, *labels: str) -> list[Artifact]:
    """A model with files for each label that one was trained for."""
    found = []
    for number, label in enumerate(labels):
        model = Model()
        model.uri = str(folder / f"model-{number}")
        Path(model.uri).mkdir()
        found.append(stored(store, model))
        settings = {"problem": {"task": "binary", "label": {"name": label}}, "network": number}
        output_of(store, model, when=number, settings=json.dumps(settings))
    return found


def blessing(store: mlmd.MetadataStore, model: Artifact, blessed: int = 1) -> Artifact:
    artifact = ModelBlessing()
    artifact.set_int_custom_property("current_model_id", model.id)
    artifact.set_int_custom_property("blessed", blessed)
    output_of(store, stored(store, artifact), when=model.id)
    return artifact


def guarded(store: mlmd.MetadataStore, model: Artifact, blessed: int) -> Artifact:
    """What the skew guard said of ``model``."""
    artifact = InfraBlessing()
    artifact.set_int_custom_property("current_model_id", model.id)
    artifact.set_int_custom_property("blessed", blessed)
    return stored(store, artifact)


def baseline(
    store: mlmd.MetadataStore, inputs: tuple[list[Artifact], list[Artifact], Artifact], guard: Sequence[Artifact] = ()
) -> tuple[list[int], list[int]]:
    all_models, blessings, candidate = inputs
    found = LatestOtherBlessedModelStrategy().resolve_artifacts(
        store,
        {
            "model": list(all_models),
            "model_blessing": list(blessings),
            "infra_blessing": list(guard),
            "candidate": [candidate],
        },
    )
    return [artifact.id for artifact in found["model"]], [artifact.id for artifact in found["model_blessing"]]


@pytest.mark.parametrize("candidate", [0, 1, 2])
def test_the_baseline_is_the_latest_blessed_model_but_the_candidate(
    store: mlmd.MetadataStore, tmp_path: Path, candidate: int
) -> None:
    three = models(store, tmp_path, *"yyy")
    blessings = [blessing(store, model) for model in three]
    expected = 1 if candidate == 2 else 2
    found = baseline(store, (three, blessings, three[candidate]))
    assert found == ([three[expected].id], [blessings[expected].id])


def test_a_model_that_was_not_blessed_is_not_the_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    three = models(store, tmp_path, *"yyy")
    blessings = [blessing(store, three[0]), blessing(store, three[1], blessed=0)]
    assert baseline(store, (three, blessings, three[2])) == ([three[0].id], [blessings[0].id])


def test_a_model_that_skew_guard_rejected_is_not_the_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    three = models(store, tmp_path, *"yyy")
    blessings = [blessing(store, model) for model in three]
    guard = [guarded(store, three[0], blessed=1), guarded(store, three[1], blessed=0)]
    assert baseline(store, (three, blessings, three[2]), guard) == ([three[0].id], [blessings[0].id])


def test_a_model_of_another_label_is_not_the_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    three = models(store, tmp_path, "y", "other", "y")
    blessings = [blessing(store, model) for model in three]
    assert baseline(store, (three, blessings, three[2])) == ([three[0].id], [blessings[0].id])


def test_a_model_whose_files_are_missing_is_not_the_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    three = models(store, tmp_path, *"yyy")
    blessings = [blessing(store, model) for model in three]
    Path(three[1].uri).rmdir()
    assert baseline(store, (three, blessings, three[2])) == ([three[0].id], [blessings[0].id])


def test_a_model_that_was_blessed_again_is_the_latest(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    three = models(store, tmp_path, *"yyy")
    blessings = [blessing(store, three[0]), blessing(store, three[1])]
    output_of(store, blessings[0], when=1000)
    assert baseline(store, (three, blessings, three[2])) == ([three[0].id], [blessings[0].id])


def test_a_first_run_has_no_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    (candidate,) = models(store, tmp_path, "y")
    assert baseline(store, ([candidate], [], candidate)) == ([], [])


def test_a_rerun_of_the_only_blessed_model_has_no_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    (candidate,) = models(store, tmp_path, "y")
    assert baseline(store, ([candidate], [blessing(store, candidate)], candidate)) == ([], [])


def test_without_any_blessing_there_is_no_baseline(store: mlmd.MetadataStore, tmp_path: Path) -> None:
    two = models(store, tmp_path, *"yy")
    assert baseline(store, (two, [], two[1])) == ([], [])


def test_models_of_one_label_are_comparable_but_weights_only_fit_the_same_target() -> None:
    def regression(**label: object) -> dict[str, object]:
        return {"task": "regression", "label": {"name": "y", "column": "y", "above": None, "classes": None, **label}}

    earlier, unscaled = regression(), regression(log=False, scale="none")
    scaled, logarithm = regression(log=False, scale=None), regression(log=True, scale=None)
    comparable = [_label(each, with_scaling=False) for each in (earlier, unscaled, scaled, logarithm)]
    assert comparable == [comparable[0]] * 4
    weights = [_label(each, with_scaling=True) for each in (earlier, unscaled, scaled, logarithm)]
    assert weights[0] == weights[1]
    assert weights[1] != weights[2] != weights[3] != weights[1]
