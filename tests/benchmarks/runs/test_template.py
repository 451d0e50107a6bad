from pathlib import Path

import pytest
from conftest import ROOT

from benchmarks.runs import commands
from benchmarks.runs.startup import first_node

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODES = {"CsvExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Trainer"}
NODES |= {"LatestBlessedModel", "Evaluator", "Pusher"}


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_template_runs_whole_and_its_model_is_asked(table: Path, tmp_path: Path) -> None:
    options = [f"--data={table}", f"--output={tmp_path}"]
    ran = commands.run(["-m", "benchmarks.runs.template", "run", *options])
    assert ran.parsed.keys() == NODES
    assert 0 < sum(ran.parsed.values()) < ran.seconds
    quality = commands.run(["-m", "benchmarks.runs.template", "quality", *options]).parsed
    assert 0.4 < quality["auc"] < 0.8  # three features tell little
    assert 0.6 < quality["accuracy"] < 0.9
    assert 0.5 < quality["majority"] < 0.9


def test_first_node_is_seen_to_start(tmp_path: Path) -> None:
    assert 1 < first_node(tmp_path) < 120
    assert (tmp_path / "runs/latest/log").exists()
