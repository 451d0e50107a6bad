import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tiny_runs import new_runs

from lineage.store.reader import MetadataReader
from pipeline.local.push_cache import PushFolders, is_push_current, may_skip_push

Event = metadata_store_pb2.Event


class Pushes:
    """Pushes in ML Metadata and in the folders."""

    def __init__(self, folder: Path) -> None:
        self.serving_dir, self.tflite_dir = folder / "serving", folder / "tflite"
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = metadata_store.MetadataStore(config)
        types = [metadata_store_pb2.ArtifactType(name=name) for name in ("Model", "TfliteModel", "PushedModel")]
        self._types = dict(
            zip(("Model", "TfliteModel", "PushedModel"), map(self.store.put_artifact_type, types), strict=True)
        )
        self._execution_type = self.store.put_execution_type(metadata_store_pb2.ExecutionType(name="Pusher"))

    def made(self, kind: str) -> int:
        [artifact] = self.store.put_artifacts([metadata_store_pb2.Artifact(type_id=self._types[kind])])
        return int(artifact)

    def push(self, version: int, *inputs: int, device: bool = False) -> None:
        pushed = metadata_store_pb2.Artifact(type_id=self._types["PushedModel"])
        pushed.custom_properties["pushed"].int_value = 1
        pushed.custom_properties["pushed_version"].string_value = str(version)
        pushed.custom_properties["pushed_destination"].string_value = str(self.serving_dir / str(version))
        (self.serving_dir / str(version)).mkdir(parents=True)
        (self.serving_dir / str(version) / "saved_model.pb").touch()
        if device:
            file = self.tflite_dir / str(version) / "model.tflite"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"model")
            manifest = {"sha256": hashlib.sha256(b"model").hexdigest()}
            file.with_name("manifest.json").write_text(json.dumps(manifest))
            pushed.custom_properties["pushed_tflite"].string_value = str(file)
        events = [(metadata_store_pb2.Artifact(id=each), Event(type=Event.INPUT)) for each in inputs]
        execution = metadata_store_pb2.Execution(type_id=self._execution_type)
        known = self.store.get_artifacts_by_id(list(inputs))
        pairs = [(artifact, event) for artifact, (_, event) in zip(known, events, strict=True)]
        self.store.put_execution(execution, [*pairs, (pushed, Event(type=Event.OUTPUT))], [])

    def served(self, *made: int) -> bool:
        return is_push_current(MetadataReader(self.store), PushFolders(self.serving_dir, self.tflite_dir), made)


@pytest.fixture
def pushes(tmp_path: Path) -> Pushes:
    return Pushes(tmp_path)


def test_no_push_is_current(pushes: Pushes) -> None:
    assert pushes.served(pushes.made("Model"))


def test_only_the_last_push_is_current(pushes: Pushes) -> None:
    first, second = pushes.made("Model"), pushes.made("Model")
    pushes.push(1, first)
    assert pushes.served(first)
    pushes.push(2, second)
    assert not pushes.served(first)
    assert pushes.served(second)


def test_missing_or_foreign_version_is_not_current(pushes: Pushes) -> None:
    model = pushes.made("Model")
    pushes.push(1, model)
    (pushes.serving_dir / "9").mkdir()
    assert not pushes.served(model)
    (pushes.serving_dir / "9").rmdir()
    (pushes.serving_dir / "1/saved_model.pb").unlink()
    assert not pushes.served(model)
    (pushes.serving_dir / "1").rmdir()
    assert not pushes.served(model)


def test_push_of_another_problem_in_the_same_store_does_not_matter(pushes: Pushes) -> None:
    model, other = pushes.made("Model"), pushes.made("Model")
    pushes.push(1, model)
    folder, pushes.serving_dir = pushes.serving_dir, pushes.serving_dir.with_name("other")
    pushes.push(2, other)
    pushes.serving_dir = folder
    assert pushes.served(model)


def test_run_from_a_later_node_pushes_again_if_its_model_is_not_served() -> None:
    """Such a run has the model of an earlier run, and no execution of the Trainer of its own."""
    with new_runs() as runs:
        base = runs.run()
        again = runs.run(from_node="Pusher", base=base)
        folders = PushFolders(runs.output / "serving/taxi", runs.output / "tflite/taxi")
        assert may_skip_push(runs.reader, folders, again)
        [version] = folders.serving.iterdir()
        version.rename(folders.serving / str(int(version.name) + 1))
        assert not may_skip_push(runs.reader, folders, again)
        shutil.rmtree(folders.serving)
        assert not may_skip_push(runs.reader, folders, again)


def test_run_from_a_later_node_pushes_again_if_another_model_was_pushed_since() -> None:
    with new_runs() as runs:
        base = runs.run()
        runs.run(steps=40)
        again = runs.run(from_node="Pusher", base=base)
        folders = PushFolders(runs.output / "serving/taxi", runs.output / "tflite/taxi")
        assert not may_skip_push(runs.reader, folders, again)


def test_other_tflite_model_is_not_current(pushes: Pushes) -> None:
    model, whole, quantized = pushes.made("Model"), pushes.made("TfliteModel"), pushes.made("TfliteModel")
    pushes.push(1, model, whole, device=True)
    pushes.push(2, model, quantized, device=True)
    assert not pushes.served(model, whole)
    assert pushes.served(model, quantized)
    pushes.push(3, model)  # while devices were turned off
    assert not pushes.served(model, quantized)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.tflite").unlink(),
        lambda folder: (folder / "model.tflite").write_bytes(b"mod"),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder.parent / "2").mkdir(),
    ],
)
def test_damaged_tflite_version_is_not_current(pushes: Pushes, damage: Callable[[Path], object]) -> None:
    model, whole = pushes.made("Model"), pushes.made("TfliteModel")
    pushes.push(1, model, whole, device=True)
    assert pushes.served(model, whole)
    damage(pushes.tflite_dir / "1")
    assert not pushes.served(model, whole)
