import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.types import Artifact
from tfx.types.standard_artifacts import Model, ModelBlessing

from custom_components.baseline_resolver.strategy import LatestOtherBlessedModelStrategy


@pytest.fixture
def store() -> mlmd.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    return mlmd.MetadataStore(config)


def stored(store: mlmd.MetadataStore, artifact: Artifact) -> Artifact:
    """Puts ``artifact`` into ML Metadata, which gives it its id."""
    artifact.type_id = store.put_artifact_type(artifact.artifact_type)
    (artifact.id,) = store.put_artifacts([artifact.mlmd_artifact])
    return artifact


def models(store: mlmd.MetadataStore, count: int) -> list[Artifact]:
    return [stored(store, Model()) for _ in range(count)]


def blessing(store: mlmd.MetadataStore, model: Artifact, blessed: int = 1) -> Artifact:
    artifact = ModelBlessing()
    artifact.set_int_custom_property("current_model_id", model.id)
    artifact.set_int_custom_property("blessed", blessed)
    return stored(store, artifact)


def baseline(
    store: mlmd.MetadataStore, all_models: list[Artifact], blessings: list[Artifact], candidate: Artifact
) -> tuple[list[int], list[int]]:
    found = LatestOtherBlessedModelStrategy().resolve_artifacts(
        store, {"model": list(all_models), "model_blessing": list(blessings), "candidate": [candidate]}
    )
    assert found["candidate"] == [candidate]
    return [artifact.id for artifact in found["model"]], [artifact.id for artifact in found["model_blessing"]]


@pytest.mark.parametrize("candidate", [0, 1, 2])
def test_the_baseline_is_the_latest_blessed_model_but_the_candidate(store: mlmd.MetadataStore, candidate: int) -> None:
    three = models(store, 3)
    blessings = [blessing(store, model) for model in three]
    expected = 1 if candidate == 2 else 2
    found = baseline(store, three, blessings, three[candidate])
    assert found == ([three[expected].id], [blessings[expected].id])


def test_a_model_that_was_not_blessed_is_no_baseline(store: mlmd.MetadataStore) -> None:
    three = models(store, 3)
    blessings = [blessing(store, three[0]), blessing(store, three[1], blessed=0)]
    assert baseline(store, three, blessings, three[2]) == ([three[0].id], [blessings[0].id])


def test_a_first_run_has_no_baseline(store: mlmd.MetadataStore) -> None:
    (candidate,) = models(store, 1)
    assert baseline(store, [candidate], [], candidate) == ([], [])


def test_a_rerun_of_the_only_blessed_model_has_no_baseline(store: mlmd.MetadataStore) -> None:
    (candidate,) = models(store, 1)
    assert baseline(store, [candidate], [blessing(store, candidate)], candidate) == ([], [])


def test_without_any_blessing_there_is_no_baseline(store: mlmd.MetadataStore) -> None:
    two = models(store, 2)
    assert baseline(store, two, [], two[1]) == ([], [])
