from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tiny_runs import MORE_STEPS, SAME, shared_runs

from lineage.errors import LineageError
from lineage.queries.find_run import find_run
from lineage.store.connection import open_reader
from lineage.store.reader import MetadataReader


@pytest.fixture
def empty(tmp_path: Path) -> MetadataStore:
    return MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.db")))


def test_a_run_is_found_by_name_by_prefix_and_as_latest() -> None:
    reader = shared_runs().reader
    recorded = find_run(reader, SAME)
    assert recorded.run_id == SAME
    assert find_run(reader, "latest").run_id == shared_runs().names[-1]
    assert find_run(reader, "run-2").run_id == MORE_STEPS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run", "run 'run': 8 runs start with this: run-7, run-6, run-5, …; expected a longer name"),
        ("other", "run 'other': not found; expected 'latest' or a run such as run-7, run-6, run-5, …"),
    ],
)
def test_an_unknown_run_is_refused_with_the_newest_runs(name: str, message: str) -> None:
    with pytest.raises(LineageError) as error:
        find_run(shared_runs().reader, name)
    assert str(error.value) == message


def test_a_store_without_runs_says_so(empty: MetadataStore, tmp_path: Path) -> None:
    assert MetadataReader(empty).runs() == []
    for reader, name in ((MetadataReader(empty), "ML Metadata"), (open_reader(tmp_path), str(tmp_path))):
        with pytest.raises(LineageError) as error:
            find_run(reader, "latest")
        assert str(error.value) == f"{name}: the store has no runs yet; start one with local_runner.py"
