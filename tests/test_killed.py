from pathlib import Path

import pytest
import tensorflow as tf
from conftest import kill_in, run
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.store.connection import open_reader
from serving.edge import load

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FAILED = metadata_store_pb2.Execution.FAILED
# Seconds into a node's work, a sixth of it or so. Each kill leaves the nodes before it to be answered from the cache.
KILLED_IN = (
    ("ExampleGen", 0.05),
    ("StatisticsGen", 0.3),
    ("Transform", 1.0),
    ("Tuner", 0.5),
    ("Trainer", 0.5),
    ("Evaluator", 0.5),
    ("TfliteExporter", 0.5),
    ("Pusher", 0.0),
)
TAKES_A_MOMENT = {"Pusher"}  # it may have ended before the kill


def test_the_same_command_completes_after_a_kill_in_any_node(table: Path, tmp_path: Path) -> None:
    options = (f"--data={table}", "--set=tflite.enabled=true", "--json")
    for node, after in KILLED_IN:
        kill_in(node, tmp_path, *options, after=after)
    completed = run(tmp_path, *options)
    assert completed.code == 0, completed.stderr
    assert completed.summary["status"] == "pushed"
    assert_store_is_whole(tmp_path)
    runs = open_reader(tmp_path).runs()
    assert [run.status for run in runs] == ["pushed", *["interrupted"] * len(KILLED_IN)]
    assert all(run.origin and run.origin.settings["tflite"]["enabled"] for run in runs)
    assert_every_version_loads(tmp_path / "serving/taxi")
    for version in (tmp_path / "tflite/taxi").iterdir():
        load(version / "model.tflite").predict({})


def assert_store_is_whole(output: Path) -> None:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(output / "metadata.db")
    store = metadata_store.MetadataStore(config)
    reader, executions = open_reader(output), store.get_executions()
    assert metadata_store_pb2.Execution.RUNNING not in [execution.last_known_state for execution in executions]
    failed = {reader.node_of(each.id) for each in executions if each.last_known_state == FAILED}
    assert failed >= {node for node, _ in KILLED_IN} - TAKES_A_MOMENT
    for artifact in store.get_artifacts():
        if artifact.state == metadata_store_pb2.Artifact.LIVE:
            assert Path(artifact.uri).exists(), artifact


def assert_every_version_loads(folder: Path) -> None:
    versions = [path for path in folder.iterdir() if path.name.isdigit()]
    assert versions
    for version in versions:
        assert "serving_default" in tf.saved_model.load(str(version)).signatures
