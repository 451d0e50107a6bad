import re
import shutil
from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from tiny_runs import NEW_DATA, shared_runs

from lineage.errors import LineageError
from lineage.queries.find_artifact import Target, find_artifact, find_target, newest_versions, provenance_of
from lineage.queries.trace import trace_by_name
from lineage.recorded import provenance
from lineage.records import Artifact
from lineage.store.connection import open_reader
from lineage.store.reader import MetadataReader

OTHER_KEYS = '3, "model_id": 1, "model_uri": "", "pushed_uri": ""'


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


@pytest.fixture(scope="module")
def newest(reader: MetadataReader) -> Artifact:
    """The newest push of the taxi pipeline."""
    folder = max(shared_runs().output.glob("serving/taxi/*"))
    found = find(reader, shared_runs().output, str(folder)).artifact
    assert found
    return found


def find(reader: MetadataReader, output: Path, name: str) -> Target:
    return find_target(reader, output, name, provenance_of(name))


def found(reader: MetadataReader, name: object) -> Artifact | None:
    return find(reader, shared_runs().output, str(name)).artifact


def test_a_version_is_found_by_its_file_and_without_it(
    reader: MetadataReader, newest: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = newest.properties["pushed_version"]
    assert found(reader, version) == newest
    assert find(reader, Path("elsewhere"), version).artifact == newest
    # With its file the search is fast: the Pusher's artifacts are not read.
    monkeypatch.setattr(MetadataStore, "get_artifacts_by_context", None)
    assert found(reader, version) == newest


def test_a_versions_folder_a_file_in_it_and_a_copy_are_found(
    reader: MetadataReader, newest: Artifact, tmp_path: Path
) -> None:
    folder = Path(newest.properties["pushed_destination"])
    shutil.copytree(folder, tmp_path / "from a server")
    for path in (folder, folder / "saved_model.pb", tmp_path / "from a server"):
        target = find(reader, shared_runs().output, str(path))
        assert target.artifact == newest
        assert target.provenance
        assert target.provenance.run_id == NEW_DATA


def test_a_version_of_another_store_has_no_artifact_in_this_one(reader: MetadataReader, tmp_path: Path) -> None:
    other = tmp_path / "17"
    shutil.copytree(next(shared_runs().output.glob("serving/taxi/*")), other)
    (other / "provenance.json").write_text(
        re.sub(r'"version": "\d+"', '"version": "17"', (other / "provenance.json").read_text())
    )
    target = find(reader, shared_runs().output, str(other))
    assert target.artifact is None
    assert target.provenance
    assert target.provenance.version == "17"


def test_a_version_without_a_provenance_file_is_found_by_its_folder(reader: MetadataReader, newest: Artifact) -> None:
    file = Path(newest.properties["pushed_destination"]) / "provenance.json"
    content = file.read_text()
    file.unlink()
    try:
        assert found(reader, file.parent) == newest
        assert found(reader, newest.properties["pushed_version"]) == newest
    finally:
        file.write_text(content)


def test_each_question_reads_the_provenance_file_once(newest: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, read = newest.properties["pushed_destination"], provenance._read
    files = []

    def counted(file: Path) -> provenance.Provenance:
        files.append(file)
        return read(file)

    monkeypatch.setattr(provenance, "_read", counted)
    for name in (folder, newest.properties["pushed_version"]):
        assert trace_by_name(shared_runs().output, name).story
        assert files == [Path(folder) / "provenance.json"]
        files.clear()
    find_artifact(shared_runs().reader, shared_runs().output, folder)
    assert len(files) == 1


def test_artifacts_are_found_by_folder_id_and_name(reader: MetadataReader) -> None:
    model = found(reader, "Trainer.model")
    assert model
    assert model.type == "Model"
    names = (model.id, f"Trainer.model:{model.id}", model.uri, f"{model.uri}/Format-Serving/saved_model.pb")
    assert [found(reader, name) for name in names] == [model] * 4


def test_the_newest_output_is_that_of_the_last_execution(reader: MetadataReader) -> None:
    schema = found(reader, "CuratedSchema.schema")
    assert schema
    assert schema.type == "Schema"


def test_a_version_of_two_pipelines_is_refused(reader: MetadataReader, newest: Artifact) -> None:
    version = newest.properties["pushed_version"]
    other = shared_runs().output / "serving/another" / version
    other.mkdir(parents=True)
    try:
        with pytest.raises(
            LineageError, match=f"version {version}: found in several places; expected one of .*another/{version}, "
        ):
            found(reader, version)
    finally:
        shutil.rmtree(other.parent)


def test_versions_are_returned_newest_first(reader: MetadataReader) -> None:
    known = newest_versions(reader)
    assert known == sorted(known, reverse=True)
    assert set(known) == {path.name for path in shared_runs().output.glob("serving/*/*")}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1999999999", r"1999999999: no such version or artifact; the newest versions are \d+, \d+"),
        ("9" * 30, "no such version or artifact"),
        ("9" * 5_000, "expected a pushed version"),
        ("Trainer.nope", "Trainer has no output 'nope'; its outputs are model, model_run"),
        ("Nope.model", "'Nope': no node of this name ever ran; the nodes that ran are .*Trainer"),
        ("Trainer.model:123456", "no such version or artifact"),
        ("nonsense", "'nonsense': expected a pushed version, the path of its folder"),
        ("/no/such/folder", "/no/such/folder: not an artifact of this store, and it has no provenance.json"),
        ("²", "'²': expected a pushed version"),
        ("Trainer.model:²", "Trainer has no output 'model:²'"),
        ("a" * 5000, "expected a pushed version"),
        ("/" + "a" * 5000, "not an artifact of this store"),
        ("gs://bucket/model/9", "gs://bucket/model/9: not an artifact of this store"),
    ],
)
def test_unknown_names_are_refused_in_one_line(reader: MetadataReader, name: str, message: str) -> None:
    with pytest.raises(LineageError, match=message) as error:
        found(reader, name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ['{"version": 3}', "[]", "[" * 100_000, '{"pipeline": "", "run_id": "", "version": ' + OTHER_KEYS + "}"],
    ids=["keys", "list", "deep", "version"],
)
def test_an_invalid_provenance_file_is_refused(reader: MetadataReader, tmp_path: Path, text: str) -> None:
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(LineageError, match=r"provenance\.json: .*; expected .*the Pusher writes"):
        found(reader, tmp_path)


def test_a_name_with_the_id_of_another_artifact_is_refused(reader: MetadataReader) -> None:
    model = found(reader, "Trainer.model")
    assert model
    assert found(reader, f"Model:{model.id}") == model
    with pytest.raises(LineageError, match=rf"'Transform\.model:{model.id}': artifact {model.id} is Trainer\.model:"):
        found(reader, f"Transform.model:{model.id}")


def test_files_deep_in_a_version_are_found_and_files_in_the_working_folder_are_ignored(
    reader: MetadataReader, newest: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(newest.properties["pushed_destination"], tmp_path / "17")
    (copy / "variables").mkdir()
    (copy / "variables" / "variables.index").touch()
    assert found(reader, copy / "variables" / "variables.index") == newest
    monkeypatch.chdir(copy)
    target = find(reader, shared_runs().output, "Trainer.model")
    assert target.provenance is None
    assert provenance_of("Trainer.model") is None
    with pytest.raises(LineageError, match="not an artifact of this store"):
        found(reader, copy / "gone")


def test_a_version_is_found_even_if_its_provenance_file_is_invalid(reader: MetadataReader, newest: Artifact) -> None:
    file = Path(newest.properties["pushed_destination"]) / "provenance.json"
    content = file.read_text()
    file.write_text("{")
    try:
        assert found(reader, newest.properties["pushed_version"]) == newest
    finally:
        file.write_text(content)


def test_artifacts_in_a_moved_output_folder_are_found(reader: MetadataReader, newest: Artifact, tmp_path: Path) -> None:
    model = found(reader, "Trainer.model")
    assert model
    moved = shutil.copytree(shared_runs().output, tmp_path / "moved")
    there = moved / Path(model.uri).relative_to(shared_runs().output)
    copy = open_reader(moved)
    assert find(copy, moved, str(there)).artifact == model
    assert find(copy, moved, f"{there}/Format-Serving/saved_model.pb").artifact == model
    version = moved / Path(newest.properties["pushed_destination"]).relative_to(shared_runs().output)
    (version / "provenance.json").unlink()
    assert find(copy, moved, str(version)).artifact == newest
    for path in (moved, moved / "artifacts", moved / "artifacts/Trainer/model", tmp_path / "artifacts/Trainer/model/9"):
        with pytest.raises(LineageError, match="not an artifact of this store"):
            find(copy, moved, str(path))
