import re
from pathlib import Path

import pytest
from conftest import Finished, run
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from lineage.queries.find_artifact import find_artifact
from lineage.queries.trace import trace
from lineage.store.reader import MetadataReader

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers") / "output"


@pytest.fixture(scope="module")
def first(output: Path, table: Path) -> Finished:
    return run(output, f"--data={table}", "--workers=2", "--json")


def test_two_workers_tune_and_train_and_all_report_progress(first: Finished) -> None:
    assert first.code == 0, first.stderr
    training = first.summary["training"]
    assert (training["strategy"], training["workers"], training["steps"]) == ("multi_worker", 2, 60)
    assert {"tuner 0", "tuner 1", "worker 0", "worker 1"} <= set(re.findall(r"(?:tuner|worker) \d", first.stderr))


def test_the_tensorboard_logs_are_in_the_run_folder(first: Finished, output: Path) -> None:
    logs = output / "runs" / first.summary["run_id"] / "tensorboard"
    assert first.summary["training"]["logs"] == str(logs)
    assert not logs.is_symlink()
    assert {path.name for path in logs.iterdir()} == {"train", "validation"}


def test_a_warm_start_is_recorded_in_ml_metadata(first: Finished, output: Path, table: Path) -> None:
    again = run(output, f"--data={table}", "--no-tune", "--json", training__warm_start=True)
    assert again.code in (0, 4), again.stderr
    assert again.states["WarmStartModel"] == "ran"
    assert "variables of" in (output / "runs/latest/log").read_text()
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(output / "metadata.db")
    store = metadata_store.MetadataStore(config)
    [trainer] = [
        each
        for each in store.get_executions_by_context(
            store.get_context_by_type_and_name("pipeline_run", again.summary["run_id"]).id
        )
        if "run_fn" in each.custom_properties
    ]
    read = [
        event.artifact_id
        for event in store.get_events_by_execution_ids([trainer.id])
        if event.path.steps[0].key == "base_model"
    ]
    [base] = store.get_artifacts_by_id(read)
    assert base.uri in (output / "runs/latest/log").read_text()
    reader = MetadataReader(store)
    story = trace(reader, find_artifact(reader, output, "Trainer.model"))
    assert [each.uri for each in story.warm_start] == [base.uri]


def test_a_failed_training_keeps_its_tensorboard_logs(output: Path, table: Path) -> None:
    failed = run(output, f"--data={table}", "--no-tune", "--json", network__hyperparameters={"learning_rate": 1e38})
    assert failed.code == 1
    assert failed.summary["error"].startswith(
        "Trainer: training produced NaN or infinite values; lower network.hyperparameters."
    )
    assert list((output / "runs/latest/tensorboard/train").glob("events.*"))
