import re
import shutil
from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from tiny_runs import NEW_DATA, story

from lineage.errors import LineageError
from lineage.queries.lookup import find, provenance_of, versions
from lineage.records import Artifact
from lineage.store.connection import connect

OTHERS = '3, "model_id": 1, "model_uri": "", "pushed_uri": ""'


@pytest.fixture(scope="module")
def store() -> MetadataStore:
    return story().store


@pytest.fixture(scope="module")
def newest(store: MetadataStore) -> Artifact:
    """The newest push of the taxi pipeline."""
    folder = max(story().output.glob("serving/taxi/*"))
    found = find(store, story().output, str(folder)).artifact
    assert found
    return found


def found(store: MetadataStore, name: object) -> Artifact | None:
    return find(store, story().output, str(name)).artifact


def test_a_version_is_found_by_its_file_and_without_it(
    store: MetadataStore, newest: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = newest.properties["pushed_version"]
    assert found(store, version) == newest
    assert find(store, Path("elsewhere"), version).artifact == newest
    # Its file makes it quick: none of the Pusher's artifacts is looked at.
    monkeypatch.setattr(MetadataStore, "get_artifacts_by_context", None)
    assert found(store, version) == newest


def test_a_versions_folder_a_file_in_it_and_a_copy_are_found(
    store: MetadataStore, newest: Artifact, tmp_path: Path
) -> None:
    folder = Path(newest.properties["pushed_destination"])
    shutil.copytree(folder, tmp_path / "from a server")
    for path in (folder, folder / "saved_model.pb", tmp_path / "from a server"):
        target = find(store, story().output, str(path))
        assert target.artifact == newest
        assert target.provenance
        assert target.provenance.run_id == NEW_DATA


def test_a_version_of_another_store_is_not_taken_for_one_of_this(store: MetadataStore, tmp_path: Path) -> None:
    other = tmp_path / "17"
    shutil.copytree(next(story().output.glob("serving/taxi/*")), other)
    (other / "provenance.json").write_text(
        re.sub(r'"version": "\d+"', '"version": "17"', (other / "provenance.json").read_text())
    )
    target = find(store, story().output, str(other))
    assert target.artifact is None
    assert target.provenance
    assert target.provenance.version == "17"


def test_a_version_that_was_pushed_before_there_was_a_file_is_found_by_its_folder(
    store: MetadataStore, newest: Artifact
) -> None:
    file = Path(newest.properties["pushed_destination"]) / "provenance.json"
    content = file.read_text()
    file.unlink()
    try:
        assert found(store, file.parent) == newest
        assert found(store, newest.properties["pushed_version"]) == newest
    finally:
        file.write_text(content)


def test_artifacts_are_found_by_folder_number_and_name(store: MetadataStore) -> None:
    model = found(store, "Trainer.model")
    assert model
    assert model.type == "Model"
    names = (model.id, f"Trainer.model:{model.id}", model.uri, f"{model.uri}/Format-Serving/saved_model.pb")
    assert [found(store, name) for name in names] == [model] * 4


def test_the_newest_output_is_what_the_last_execution_gave_out(store: MetadataStore) -> None:
    schema = found(store, "CuratedSchema.schema")
    assert schema
    assert schema.type == "Schema"


def test_a_version_of_two_pipelines_is_not_guessed(store: MetadataStore, newest: Artifact) -> None:
    version = newest.properties["pushed_version"]
    other = story().output / "serving/another" / version
    other.mkdir(parents=True)
    try:
        with pytest.raises(LineageError, match=f"version {version}: several .* expected one of .*another/{version}, "):
            found(store, version)
    finally:
        shutil.rmtree(other.parent)


def test_versions_are_told_newest_first(store: MetadataStore) -> None:
    known = versions(store)
    assert known == sorted(known, reverse=True)
    assert set(known) == {path.name for path in story().output.glob("serving/*/*")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("1999999999", r"1999999999: no such version or artifact; the newest versions are \d+, \d+"),
        ("9" * 30, "no such version or artifact"),
        ("Trainer.nope", "Trainer made no 'nope'; it makes model, model_run"),
        ("Nope.model", "'Nope': no such node ever ran; those that did are .*Trainer"),
        ("Trainer.model:123456", "no such version or artifact"),
        ("nonsense", "'nonsense': expected a pushed version, the path of its folder"),
        ("/no/such/folder", "/no/such/folder: no artifact of this store, and no provenance.json in it"),
        ("²", "'²': expected a pushed version"),
        ("Trainer.model:²", "Trainer made no 'model:²'"),
        ("a" * 5000, "expected a pushed version"),
        ("/" + "a" * 5000, "no artifact of this store"),
        ("gs://bucket/model/9", "gs://bucket/model/9: no artifact of this store"),
    ],
)
def test_what_cannot_be_found_is_refused_in_one_line(store: MetadataStore, name: str, said: str) -> None:
    with pytest.raises(LineageError, match=said) as error:
        found(store, name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ['{"version": 3}', "[]", "[" * 100_000, '{"pipeline": "", "run_id": "", "version": ' + OTHERS + "}"],
    ids=["keys", "list", "deep", "version"],
)
def test_a_file_that_is_no_provenance_is_refused(store: MetadataStore, tmp_path: Path, text: str) -> None:
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(LineageError, match=r"provenance\.json: .*; expected .*the Pusher writes"):
        found(store, tmp_path)


def test_a_name_whose_number_is_another_artifacts_is_refused(store: MetadataStore) -> None:
    model = found(store, "Trainer.model")
    assert model
    assert found(store, f"Model:{model.id}") == model
    with pytest.raises(LineageError, match=rf"'Transform\.model:{model.id}': number {model.id} is Trainer\.model:"):
        found(store, f"Transform.model:{model.id}")


def test_files_deep_in_a_version_are_found_and_what_lies_beside_a_name_is_not(
    store: MetadataStore, newest: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(newest.properties["pushed_destination"], tmp_path / "17")
    (copy / "variables").mkdir()
    (copy / "variables" / "variables.index").touch()
    assert found(store, copy / "variables" / "variables.index") == newest
    monkeypatch.chdir(copy)
    target = find(store, story().output, "Trainer.model")
    assert target.provenance is None
    assert provenance_of("Trainer.model") is None
    with pytest.raises(LineageError, match="no artifact of this store"):
        found(store, copy / "gone")


def test_a_version_is_found_though_its_file_cannot_be_read(store: MetadataStore, newest: Artifact) -> None:
    file = Path(newest.properties["pushed_destination"]) / "provenance.json"
    content = file.read_text()
    file.write_text("{")
    try:
        assert found(store, newest.properties["pushed_version"]) == newest
    finally:
        file.write_text(content)


def test_what_lies_in_a_moved_output_folder_is_found(store: MetadataStore, newest: Artifact, tmp_path: Path) -> None:
    model = found(store, "Trainer.model")
    assert model
    moved = shutil.copytree(story().output, tmp_path / "moved")
    there = moved / Path(model.uri).relative_to(story().output)
    copy = connect(moved)
    assert find(copy, moved, str(there)).artifact == model
    assert find(copy, moved, f"{there}/Format-Serving/saved_model.pb").artifact == model
    version = moved / Path(newest.properties["pushed_destination"]).relative_to(story().output)
    (version / "provenance.json").unlink()
    assert find(copy, moved, str(version)).artifact == newest
    for path in (moved, moved / "artifacts", moved / "artifacts/Trainer/model", tmp_path / "artifacts/Trainer/model/9"):
        with pytest.raises(LineageError, match="no artifact of this store"):
            find(copy, moved, str(path))
