import datetime
import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import json_format
from tfx.proto import pusher_pb2
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import Artifact
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel
from tfx.utils import path_utils

from custom_components.pusher.executor import Executor
from custom_components.pusher.folders import STAGING_PREFIX, push_to_folders
from custom_components.shared.artifact_types import TfliteModel
from custom_components.shared.tflite_file import with_metadata
from custom_components.tflite_exporter.convert import convert_function
from lineage.recorded.origin import code_version, package_versions
from lineage.recorded.provenance import Provenance, read_provenance
from serving.edge import METADATA, read_metadata


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model/Format-Serving"
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "assets/vocabulary").write_text("Cash")
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return tmp_path / "serving/taxi"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    return tmp_path / "tflite/taxi"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def push_copy(model: Path, *bases: Path) -> str:
    """Pushes a copy of the folder to each base directory; returns the version."""

    def copy(folder: Path, version: int) -> None:
        shutil.copytree(model, folder, dirs_exist_ok=True)

    return str(push_to_folders(dict.fromkeys(bases, copy)))


def test_the_version_is_the_time_and_contains_the_complete_model(model: Path, served: Path) -> None:
    before = int(time.time())
    version = push_copy(model, served)
    assert before <= int(version) <= time.time()
    assert files_of(served / version) == files_of(model)
    assert os.listdir(served) == [version]


@pytest.mark.parametrize("name", ["\N{SUPERSCRIPT TWO}", "9" * 19, "9" * 200, "-1", "1e3"])
def test_folder_that_no_server_takes_for_a_version_does_not_count(model: Path, served: Path, name: str) -> None:
    (served / name).mkdir(parents=True)
    assert 0 <= int(push_copy(model, served)) - time.time() + 60 < 120


def test_readers_see_no_version_before_it_is_complete(
    model: Path, served: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = os.rename, []

    def watched(source: Path, target: Path) -> None:
        versions = [path.name for base in (served, device) for path in base.iterdir() if path.name.isdigit()]
        seen.append((len(versions), files_of(source), target.exists()))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    push_copy(model, served, device)
    assert seen == [(0, files_of(model), False), (1, files_of(model), False)]


def test_both_places_get_the_same_version(model: Path, served: Path, device: Path) -> None:
    future = int(time.time()) + 10**6
    (device / str(future)).mkdir(parents=True)
    version = push_copy(model, served, device)
    assert version == str(future + 1)
    assert files_of(device / version) == files_of(served / version) == files_of(model)


def test_a_failed_push_leaves_nothing(model: Path, served: Path, device: Path) -> None:
    (model / "zz").symlink_to(model / "no such file")
    with pytest.raises(OSError, match="zz"):
        push_copy(model, served, device)
    assert os.listdir(served) == os.listdir(device) == []


def test_a_push_that_fails_at_the_second_place_leaves_the_first_as_it_was(
    model: Path, served: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = push_copy(model, served, device)
    rename = os.rename

    def failing(source: Path, target: Path) -> None:
        if target.parent == device:
            raise OSError("No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="No space"):
        push_copy(model, served, device)
    assert os.listdir(served) == os.listdir(device) == [earlier]


def test_the_remains_of_a_killed_push_are_removed(model: Path, served: Path) -> None:
    half = served / f"{STAGING_PREFIX}1700000000"
    half.mkdir(parents=True)
    (half / "saved_model.pb").touch()
    version = push_copy(model, served)
    assert os.listdir(served) == [version]


def test_concurrent_pushes_run_one_after_the_other(served: Path, device: Path) -> None:
    def push_own(number: int) -> int:
        def write(folder: Path, _version: int) -> None:
            time.sleep(0.02)
            (folder / "saved_model.pb").write_text(str(number))

        places = [served, device] if number % 2 else [device, served]
        return push_to_folders(dict.fromkeys(places, write))

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(push_own, range(4)))
    assert [(served / str(version) / "saved_model.pb").read_text() for version in versions] == ["0", "1", "2", "3"]
    assert sorted(os.listdir(served)) == sorted(os.listdir(device)) == sorted(map(str, versions))


def test_versions_grow_within_a_second_and_when_the_clock_goes_back(model: Path, served: Path) -> None:
    versions = [int(push_copy(model, served)) for _ in range(3)]
    assert versions == sorted(set(versions))
    future = int(time.time()) + 10**6
    (served / str(future)).mkdir()
    (served / "notes").mkdir()
    assert push_copy(model, served) == str(future + 1)


def pushed_by_the_node(
    model: Path,
    served: Path | str,
    blessed: int,
    guard: InfraBlessing | None = None,
    tflite: TfliteModel | None = None,
    device: Path | None = None,
) -> PushedModel:
    inputs: dict[str, list[Artifact]] = {"model": [Model()], "model_blessing": [ModelBlessing()]}
    if guard:
        inputs["infra_blessing"] = [guard]
    if tflite:
        inputs["tflite_model"] = [tflite]
    inputs["model"][0].uri = str(model.parent)
    inputs["model"][0].id = 13
    inputs["model_blessing"][0].set_int_custom_property("blessed", blessed)
    pushed = PushedModel()
    pushed.uri = str(model.parent.parent / "pushed")
    destination = pusher_pb2.PushDestination()
    destination.filesystem.base_directory = str(served)
    properties = {"push_destination": json_format.MessageToJson(destination), "tflite_directory": str(device)}
    context = Executor.Context(pipeline_run_id="a run", pipeline_info=pipeline_pb2.PipelineInfo(id="taxi"))
    Executor(context).Do(inputs, {"pushed_model": [pushed]}, properties)
    return pushed


def test_a_blessed_model_is_pushed_and_its_place_recorded(model: Path, served: Path) -> None:
    pushed = pushed_by_the_node(model, served, blessed=1)
    (version,) = served.iterdir()
    assert files_of(Path(pushed.uri)) == files_of(model)
    assert files_of(version) == files_of(model) | {"provenance.json": (version / "provenance.json").read_bytes()}
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(version)
    assert pushed.get_string_custom_property("pushed_version") == version.name


def test_both_places_say_where_the_version_came_from(
    model: Path, served: Path, device: Path, tflite: TfliteModel
) -> None:
    pushed = pushed_by_the_node(model, served, blessed=1, tflite=tflite, device=device)
    version = pushed.get_string_custom_property("pushed_version")
    provenance = read_provenance(served / version)
    assert provenance is not None
    assert provenance == read_provenance(device / version / "model.tflite")
    assert provenance == Provenance(
        pipeline="taxi",
        run_id="a run",
        version=version,
        model_id=13,
        model_uri=str(model.parent),
        pushed_uri=pushed.uri,
        commit=code_version().commit,
        dirty=code_version().dirty,
        versions=package_versions(),
        pushed=provenance.pushed,
    )
    assert 0 <= time.time() - datetime.datetime.fromisoformat(provenance.pushed).timestamp() < 60


def test_a_model_that_is_not_blessed_is_not_pushed(model: Path, served: Path) -> None:
    pushed = pushed_by_the_node(model, served, blessed=0)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not served.exists()


def test_a_model_that_the_skew_guard_refused_is_not_pushed(model: Path, served: Path, tmp_path: Path) -> None:
    pushed = pushed_by_the_node(model, served, blessed=1, guard=guard_blessing(tmp_path, model, blessed=0))
    assert pushed.get_int_custom_property("pushed") == 0
    assert not served.exists()


def test_the_skew_guards_copy_is_pushed_with_its_warmup_requests(model: Path, served: Path, tmp_path: Path) -> None:
    pushed_by_the_node(model, served, blessed=1, guard=guard_blessing(tmp_path, model, blessed=1))
    (version,) = served.iterdir()
    assert (version / "warm").exists()


@pytest.fixture
def tflite(tmp_path: Path) -> TfliteModel:
    """What the exporter gives, around a model that adds 1."""
    artifact = TfliteModel()
    artifact.uri = str(tmp_path / "exported")
    artifact.set_int_custom_property("blessed", 1)
    function = tf.function(lambda each: each + 1).get_concrete_function(tf.TensorSpec([1, 1], tf.float32))
    metadata = {"model": "taxi", "quantization": "int8", "features": []}
    Path(artifact.uri).mkdir()
    content = with_metadata(convert_function(function, "the function"), METADATA, metadata)
    (Path(artifact.uri) / "model.tflite").write_bytes(content)
    return artifact


def test_the_model_for_devices_is_pushed_under_the_same_version(
    model: Path, served: Path, device: Path, tflite: TfliteModel
) -> None:
    pushed = pushed_by_the_node(model, served, blessed=1, tflite=tflite, device=device)
    version = pushed.get_string_custom_property("pushed_version")
    assert os.listdir(served) == os.listdir(device) == [version]
    file = device / version / "model.tflite"
    assert pushed.get_string_custom_property("pushed_tflite") == str(file)
    content = file.read_bytes()
    assert read_metadata(content) == {
        "model": "taxi",
        "quantization": "int8",
        "features": [],
        "version": version,
        "run_id": "a run",
    }
    assert json.loads((device / version / "manifest.json").read_text()) == {
        "model": "taxi",
        "version": version,
        "run_id": "a run",
        "file": "model.tflite",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "quantization": "int8",
    }


def test_nothing_is_pushed_where_the_model_for_devices_is_not_blessed(
    model: Path, served: Path, device: Path, tflite: TfliteModel
) -> None:
    tflite.set_int_custom_property("blessed", 0)
    pushed = pushed_by_the_node(model, served, blessed=1, tflite=tflite, device=device)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not served.exists()
    assert not device.exists()


def test_a_missing_model_for_devices_leaves_no_partial_push(
    model: Path, served: Path, device: Path, tflite: TfliteModel
) -> None:
    shutil.rmtree(tflite.uri)
    with pytest.raises(OSError, match="No such file"):
        pushed_by_the_node(model, served, blessed=1, tflite=tflite, device=device)
    assert os.listdir(served) == os.listdir(device) == []


def guard_blessing(folder: Path, model: Path, blessed: int) -> InfraBlessing:
    blessing = InfraBlessing()
    blessing.uri = str(folder / "guard")
    stamped = Path(path_utils.stamped_model_path(blessing.uri))
    shutil.copytree(model, stamped)
    (stamped / "warm").touch()
    blessing.set_int_custom_property("blessed", blessed)
    blessing.set_int_custom_property("has_model", 1)
    return blessing
