from pathlib import Path

import pytest
from tiny_problem import config_for
from tiny_runs import FAILED, FIRST, MORE_STEPS, SAME, shared_runs

from artifacts.nodes.metrics import Metrics, SliceMetrics
from lineage.store.reader import MetadataReader
from pipeline.config.settings import Config
from pipeline.results import node_outputs
from pipeline.results.node_outputs import NodeOutputs, read_node_outputs

MEASURED = Metrics({"overall": SliceMetrics({"accuracy": 0.75}, {})})


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> MetadataReader:
    monkeypatch.setattr(node_outputs, "read_metrics", lambda _folder: MEASURED)  # the tiny runs evaluate nothing
    return shared_runs().reader


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_for(tmp_path, {})


def version_of(reader: MetadataReader, run_id: str) -> str:
    run = reader.run(run_id)
    assert run is not None
    assert run.version is not None
    return run.version


def test_outputs_of_all_nodes_are_read(reader: MetadataReader, config: Config) -> None:
    found = read_node_outputs(reader, config, reader.finished_executions(MORE_STEPS))
    assert found.rows == {"train": 70, "eval": 30}
    assert found.hyperparameters == {"steps": 120}
    assert found.metrics == {"accuracy": 0.75}
    assert [(each.metric, each.ok) for each in found.thresholds] == [("accuracy", True)]
    assert found.blessed is True
    assert found.pushed is not None
    assert found.pushed.version == version_of(reader, MORE_STEPS)


def test_the_baseline_is_the_version_that_it_was_last_pushed_as(reader: MetadataReader, config: Config) -> None:
    first = read_node_outputs(reader, config, reader.finished_executions(FIRST))
    assert first.baseline is None
    assert first.pushed is not None
    later = read_node_outputs(reader, config, reader.finished_executions(MORE_STEPS))
    assert later.baseline == first.pushed.version


def test_a_cached_run_has_the_outputs_that_it_reused(reader: MetadataReader, config: Config) -> None:
    first, same = (read_node_outputs(reader, config, reader.finished_executions(run)) for run in (FIRST, SAME))
    assert same == first
    assert same.pushed is not None


def test_nodes_that_did_not_finish_are_left_out(reader: MetadataReader, config: Config) -> None:
    executions = reader.finished_executions(FAILED)
    assert "Trainer" not in executions
    found = read_node_outputs(reader, config, executions)
    assert found == NodeOutputs(rows={"train": 70, "eval": 30})
