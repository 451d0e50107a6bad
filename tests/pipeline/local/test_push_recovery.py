"""A run that is killed after its last rename, and before ML Metadata has the version."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable import launcher
from tiny_runs import TinyRuns, new_runs

from lineage.queries.trace import trace_by_name
from lineage.store.connection import open_store
from lineage.store.location import read_location
from pipeline.local.push_cache import PushFolders, may_skip_push
from pipeline.local.recovery import clean_up, close_interrupted

RUN = "run-0"


@pytest.fixture
def killed() -> Iterator[TinyRuns]:
    """A run that was killed in its Pusher, once the version was in place."""
    publish = launcher.Launcher._publish_successful_execution

    def killed_in_pusher(self: launcher.Launcher, *arguments: Any, **named: Any) -> None:
        if self._pipeline_node.node_info.id == "Pusher":
            raise KeyboardInterrupt
        publish(self, *arguments, **named)

    with new_runs() as runs:
        with (
            mock.patch.object(launcher.Launcher, "_publish_successful_execution", killed_in_pusher),
            pytest.raises(KeyboardInterrupt),
        ):
            runs.run()
        runs.names.append(RUN)
        yield runs


def test_the_same_command_does_not_push_a_recovered_model_again(killed: TinyRuns) -> None:
    recover(killed)
    versions = list(killed.output.glob("serving/taxi/*"))
    nodes = killed.reader.finished_executions(killed.run())
    assert list(killed.output.glob("serving/taxi/*")) == versions
    [execution] = killed.store.get_executions_by_id([nodes["Pusher"]])
    assert execution.last_known_state == metadata_store_pb2.Execution.CACHED


def recover(runs: TinyRuns) -> list[str]:
    return close_interrupted(open_store(read_location(runs.output)), [RUN], runs.output / "artifacts")


def push_to_devices(runs: TinyRuns) -> Path:
    """Makes the killed push one that also went to devices, and returns the version there."""
    [served] = runs.output.glob("serving/taxi/*")
    version = runs.output / "tflite/taxi" / served.name
    version.mkdir(parents=True)
    for name, content in (("model.tflite", b"model"), ("provenance.json", (served / "provenance.json").read_bytes())):
        (version / name).write_bytes(content)
    store = open_store(read_location(runs.output))
    [execution] = [each for each in store.get_executions() if "push_destination" in each.custom_properties]
    execution.custom_properties["tflite_directory"].string_value = str(version.parent)
    store.put_executions([execution])
    return version


@pytest.mark.parametrize("devices", [False, True])
def test_version_that_is_served_is_recorded(killed: TinyRuns, devices: bool) -> None:
    on_device = push_to_devices(killed) if devices else None
    [version] = killed.output.glob("serving/taxi/*")
    assert trace_by_name(killed.output, version.name).story is None
    assert recover(killed) == []
    traced = trace_by_name(killed.output, version.name).story
    assert traced
    assert (traced.version, traced.pushed_to) == (version.name, str(version))
    assert traced.tflite_path == (f"{on_device}/model.tflite" if devices else None)
    assert traced.model[0].uri == json.loads((version / "provenance.json").read_text())["model_uri"]
    assert traced.artifact.run_id == RUN
    record = killed.reader.run(RUN)
    assert record
    assert (record.status, record.version) == ("interrupted", version.name)
    assert (Path(traced.artifact.uri) / "saved_model.pb").is_file()
    assert (version / "saved_model.pb").is_file()
    assert recover(killed) == []
    folders = PushFolders(version.parent, killed.output / "tflite/taxi")
    assert may_skip_push(killed.reader, folders, RUN) is not devices  # its model for devices is damaged
    states = {each.last_known_state for each in killed.store.get_executions()}
    assert states <= {metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED}


def test_version_is_recorded_if_ml_metadata_failed_after_the_push() -> None:
    """The run has a summary, so it is not an interrupted one."""
    publish = launcher.Launcher._publish_successful_execution

    def failing(self: launcher.Launcher, *arguments: Any, **named: Any) -> None:
        if self._pipeline_node.node_info.id == "Pusher":
            raise errors.UnavailableError("the server is gone")
        publish(self, *arguments, **named)

    with new_runs() as runs:
        with mock.patch.object(launcher.Launcher, "_publish_successful_execution", failing):
            runs.run()
        [version] = runs.output.glob("serving/taxi/*")
        summary = runs.output / "runs" / RUN / "summary.json"
        summary.parent.mkdir(parents=True)
        summary.write_text('{"status": "failed"}')
        store = open_store(read_location(runs.output))
        clean_up(store, runs.output, runs.output / "artifacts", [])
        traced = trace_by_name(runs.output, version.name).story
        assert traced
        assert traced.version == version.name
        record = runs.reader.run(RUN)
        assert record
        assert (record.status, record.version) == ("failed", version.name)


def test_version_that_only_devices_have_is_taken_back(killed: TinyRuns) -> None:
    on_device = push_to_devices(killed)
    [version] = killed.output.glob("serving/taxi/*")
    version.rename(version.with_name(f".pushing-{version.name}"))  # the kill came between the two renames
    earlier = on_device.with_name("1700000000")
    earlier.mkdir()
    assert recover(killed) == ["Pusher"]
    assert list(on_device.parent.iterdir()) == [earlier]


def test_version_of_another_run_is_not_touched(killed: TinyRuns) -> None:
    [version] = killed.output.glob("serving/taxi/*")
    file = version / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "run_id": "another"}))
    assert recover(killed) == ["Pusher"]
    assert (version / "saved_model.pb").is_file()
    assert trace_by_name(killed.output, version.name).story is None
