import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import json_format
from tfx.proto import pusher_pb2
from tfx.types.standard_artifacts import Model, ModelBlessing, PushedModel

from custom_components.pusher import buckets
from custom_components.pusher.buckets import STALE_SECONDS, push_to_buckets
from custom_components.pusher.executor import Executor
from custom_components.pusher.folders import STAGING_PREFIX
from custom_components.shared.artifact_types import TfliteModel
from custom_components.shared.tflite_file import with_metadata
from custom_components.tflite_exporter.convert import convert_function
from serving.edge import METADATA

gfile = tf.io.gfile
MODEL = {"assets/vocabulary": b"Cash", "fingerprint.pb": b"print", "saved_model.pb": b"graph", "variables/v": b"1"}
DEVICE = {"manifest.json": b"{}", "model.tflite": b"lite"}
NUMBERS = itertools.count()


class Killed(BaseException):
    """What ends a process at once."""


@pytest.fixture
def bucket() -> Iterator[str]:
    """TensorFlow's file system in memory; it takes folders as Cloud Storage does."""
    folder = f"ram://bucket-{next(NUMBERS)}"
    yield folder
    gfile.rmtree(folder)


def writer(files: dict[str, bytes]) -> Callable[[Path, int], None]:
    def write(folder: Path, _version: int) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)

    return write


def push(bucket: str) -> str:
    return str(push_to_buckets({f"{bucket}/tflite": writer(DEVICE), f"{bucket}/serving": writer(MODEL)}))


def clock(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """Sets the clock."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + ahead)


def files_in(folder: str) -> dict[str, bytes]:
    found = {}
    for path, _, names in gfile.walk(folder):
        for name in names:
            with gfile.GFile(f"{path}/{name}", "rb") as file:
                found[f"{path}/{name}".removeprefix(f"{folder}/")] = file.read()
    return found


def children(folder: str) -> list[str]:
    return sorted(gfile.listdir(folder)) if gfile.exists(folder) else []


def is_complete(bucket: str, version: str) -> tuple[bool, bool]:
    """Whether a version looks complete to a reader, on a device and in the server."""
    names = (f"tflite/{version}/manifest.json", f"serving/{version}/saved_model.pb")
    device, server = (gfile.exists(f"{bucket}/{name}") for name in names)
    return device, server


def test_both_places_get_all_files_and_nothing_else(bucket: str) -> None:
    version = push(bucket)
    assert files_in(f"{bucket}/serving/{version}") == MODEL
    assert files_in(f"{bucket}/tflite/{version}") == DEVICE
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == [version]


def test_versions_grow(bucket: str) -> None:
    gfile.makedirs(f"{bucket}/serving/notes")
    gfile.makedirs(f"{bucket}/tflite/99999999999")
    assert [push(bucket), push(bucket)] == ["100000000000", "100000000001"]


def test_folders_whose_names_end_in_a_slash_count_as_versions(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gfile.makedirs(f"{bucket}/serving/99999999999")
    listdir = gfile.listdir
    monkeypatch.setattr(gfile, "listdir", lambda path: [f"{name}/" for name in listdir(path)])
    assert push(bucket) == "100000000000"


class Dying:
    """Stops the push before one of its renames, and records what readers see until then."""

    def __init__(self, bucket: str, before: int, error: type[BaseException]) -> None:
        self._rename, self._bucket, self._before, self._error = gfile.rename, bucket, before, error
        self.named: list[str] = []
        self.seen: list[tuple[bool, bool]] = []

    def __call__(self, source: str, target: str, overwrite: bool = False) -> None:
        if len(self.named) == self._before:
            raise self._error
        version = target.removeprefix(f"{self._bucket}/").split("/")[1]
        self.seen.append(is_complete(self._bucket, version))
        self.named.append(target.rpartition(f"/{version}/")[2])
        self._rename(source, target, overwrite)


FILES = len(MODEL) + len(DEVICE)


def test_the_files_that_make_a_version_complete_are_renamed_last(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Dying(bucket, FILES, Killed)
    monkeypatch.setattr(gfile, "rename", watched)
    push(bucket)
    assert watched.named[-3:] == ["model.tflite", "manifest.json", "saved_model.pb"]
    assert watched.seen == [(False, False)] * (FILES - 1) + [(True, False)]


@pytest.mark.parametrize("before", range(FILES))
def test_a_failed_push_leaves_no_version(bucket: str, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    earlier = push(bucket)
    monkeypatch.setattr(gfile, "rename", Dying(bucket, before, ConnectionError))
    with pytest.raises(ConnectionError):
        push(bucket)
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == [earlier]


@pytest.mark.parametrize("before", range(FILES))
def test_the_remains_of_a_killed_push_are_incomplete_and_removed_hours_later(
    bucket: str, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Killed as a process is: nothing is tidied up."""
    earlier = push(bucket)
    with monkeypatch.context() as patch:
        patch.setattr(gfile, "rename", Dying(bucket, before, Killed))
        patch.setattr("custom_components.pusher.buckets._remove", lambda *_: None)
        with pytest.raises(Killed):
            push(bucket)
    half = str(int(earlier) + 1)
    assert is_complete(bucket, half) == (before == FILES - 1, False)
    clock(monkeypatch, STALE_SECONDS + 1)
    later = push(bucket)
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == [earlier, later]
    assert int(later) > int(half)


def test_a_push_killed_after_all_renames_is_complete(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_path: str) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(gfile, "rmtree", die)
        with pytest.raises(Killed):
            push(bucket)
    [whole] = [name for name in children(f"{bucket}/serving") if name.isdigit()]
    clock(monkeypatch, STALE_SECONDS + 1)
    later = push(bucket)
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == [whole, later]
    assert files_in(f"{bucket}/serving/{whole}") == MODEL


def test_there_is_no_version_during_the_upload(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, seen = gfile.copy, []

    def watched(source: str, target: str, overwrite: bool = False) -> None:
        seen.append({*children(f"{bucket}/serving"), *children(f"{bucket}/tflite")})
        copy(source, target, overwrite)

    monkeypatch.setattr(gfile, "copy", watched)
    push(bucket)
    assert len(seen) == FILES
    assert all(name.startswith(STAGING_PREFIX) for names in seen for name in names)


def test_a_push_that_starts_during_another_upload_does_not_affect_it(bucket: str) -> None:
    during: list[str] = []

    def write(folder: Path, version: int) -> None:
        writer(MODEL)(folder, version)
        during.append(push(bucket))

    first = str(push_to_buckets({f"{bucket}/tflite": writer(DEVICE), f"{bucket}/serving": write}))
    assert int(during[0]) > int(first)
    for version in (first, during[0]):
        assert files_in(f"{bucket}/serving/{version}") == MODEL
        assert files_in(f"{bucket}/tflite/{version}") == DEVICE
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == [first, during[0]]


def test_concurrent_pushes_of_one_number_get_two_numbers(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have listed the used numbers before either makes its claim."""
    monkeypatch.setattr(buckets, "MAX_WAIT", 0.05)
    makedirs, both, chosen = gfile.makedirs, threading.Barrier(2), list[str]()

    def together(path: str) -> None:
        if STAGING_PREFIX in path and path.rpartition("/")[0].endswith("tflite") and len(chosen) < 2:
            chosen.append(path.rpartition("/")[2].split("-")[1])
            both.wait(10)
        makedirs(path)

    monkeypatch.setattr(gfile, "makedirs", together)
    with ThreadPoolExecutor(2) as pool:
        versions = list(pool.map(push, [bucket] * 2))
    assert chosen[0] == chosen[1]
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == sorted(versions)
    assert len(set(versions)) == 2


def test_concurrent_pushes_are_complete_and_do_not_mix_files(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_WAIT", 0.1)

    def push_own(number: int) -> tuple[str, dict[str, bytes]]:
        own = {name: f"{number} of {name}".encode() for name in MODEL}
        version = push_to_buckets({f"{bucket}/tflite": writer(DEVICE), f"{bucket}/serving": writer(own)})
        return str(version), own

    with ThreadPoolExecutor(8) as pool:
        pushed = dict(pool.map(push_own, range(8)))
    assert len(pushed) == 8
    assert children(f"{bucket}/serving") == children(f"{bucket}/tflite") == sorted(pushed)
    for version, own in pushed.items():
        assert files_in(f"{bucket}/serving/{version}") == own


def test_where_every_number_is_taken_it_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_WAIT", 0.0)
    makedirs = gfile.makedirs

    def another_too(path: str) -> None:
        makedirs(path)
        if STAGING_PREFIX in path:
            makedirs(f"{path[:-8]}{'0' * 8}")

    monkeypatch.setattr(gfile, "makedirs", another_too)
    with pytest.raises(
        RuntimeError, match=r"found other pushes in 30 attempts .*; expected fewer concurrent pushes: push again"
    ):
        push(bucket)


def test_an_upload_of_hours_gives_up_before_another_push_removes_it(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(folder: Path, version: int) -> None:
        writer(MODEL)(folder, version)
        clock(monkeypatch, STALE_SECONDS / 2 + 2)

    with pytest.raises(RuntimeError, match=re.escape("found an upload of 6.0 hours; expected at most 6: check the")):
        push_to_buckets({f"{bucket}/serving": write})
    assert children(f"{bucket}/serving") == []


def test_the_node_pushes_to_a_bucket(bucket: str, tmp_path: Path) -> None:
    model, blessing, exported, pushed = Model(), ModelBlessing(), TfliteModel(), PushedModel()
    model.uri, exported.uri, pushed.uri = (str(tmp_path / name) for name in ("model", "exported", "pushed"))
    serving = tmp_path / "model/Format-Serving"
    serving.mkdir(parents=True)
    writer(MODEL)(serving, 0)
    blessing.set_int_custom_property("blessed", 1)
    exported.set_int_custom_property("blessed", 1)
    function = tf.function(lambda each: each + 1).get_concrete_function(tf.TensorSpec([1, 1], tf.float32))
    metadata = {"model": "taxi", "quantization": "none", "features": []}
    Path(exported.uri).mkdir()
    content = with_metadata(convert_function(function, "the function"), METADATA, metadata)
    (Path(exported.uri) / "model.tflite").write_bytes(content)
    destination = pusher_pb2.PushDestination()
    destination.filesystem.base_directory = f"{bucket}/serving/taxi"
    properties: dict[str, Any] = {
        "push_destination": json_format.MessageToJson(destination),
        "tflite_directory": f"{bucket}/tflite/taxi",
    }
    inputs = {"model": [model], "model_blessing": [blessing], "tflite_model": [exported]}
    Executor(Executor.Context(pipeline_run_id="a run")).Do(inputs, {"pushed_model": [pushed]}, properties)
    version = pushed.get_string_custom_property("pushed_version")
    assert pushed.get_string_custom_property("pushed_destination") == f"{bucket}/serving/taxi/{version}"
    assert pushed.get_string_custom_property("pushed_tflite") == f"{bucket}/tflite/taxi/{version}/model.tflite"
    served = files_in(f"{bucket}/serving/taxi/{version}")
    provenance = served.pop("provenance.json")
    assert (json.loads(provenance)["version"], json.loads(provenance)["run_id"]) == (version, "a run")
    assert served == MODEL
    on_device = files_in(f"{bucket}/tflite/taxi/{version}")
    manifest = json.loads(on_device["manifest.json"])
    assert (manifest["version"], manifest["run_id"]) == (version, "a run")
    assert manifest["bytes"] == len(on_device["model.tflite"])
    assert on_device["provenance.json"] == provenance
