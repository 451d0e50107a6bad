from pathlib import Path

import pytest
from conftest import run

from lineage.queries.diff import diff
from lineage.queries.find_artifact import find_artifact
from lineage.queries.find_run import find_run
from lineage.queries.impact import impact
from lineage.queries.results import Change
from lineage.queries.why import why
from lineage.store.connection import open_reader

pytestmark = pytest.mark.e2e


@pytest.mark.slow
def test_better_model_is_pushed_next_to_the_previous_one(table: Path, tmp_path: Path) -> None:
    weak = run(tmp_path, f"--data={table}", "--no-tune", "--json", training__steps=20)
    better = run(tmp_path, f"--data={table}", "--no-tune", "--json", training__steps=120)
    assert (weak.code, better.code) == (0, 0), better.stderr
    assert better.summary["baseline"] == weak.summary["pushed"]["version"]
    change = next(each for each in better.summary["thresholds"] if each["kind"] == "change")
    assert change["value"] == pytest.approx(better.summary["metrics"]["auc"] - weak.summary["metrics"]["auc"], abs=1e-6)
    assert int(better.summary["pushed"]["version"]) > int(weak.summary["pushed"]["version"])
    assert (tmp_path / "serving/taxi" / weak.summary["pushed"]["version"] / "saved_model.pb").is_file()
    reader = open_reader(tmp_path)
    before, after = (find_run(reader, each.summary["run_id"]) for each in (weak, better))
    assert diff(reader, before, after).changes == [Change("settings", "training.steps", 20, 120)]
    found = impact(reader, find_artifact(reader, tmp_path, "ExampleGen.examples"))
    assert [each.version for each in found.versions] == [each.summary["pushed"]["version"] for each in (weak, better)]
    weak_model, better_model = found.models
    found = impact(reader, find_artifact(reader, tmp_path, weak_model.name))
    assert [each.version for each in found.versions] == [weak.summary["pushed"]["version"]]
    assert found.baseline_of == [better_model]


@pytest.mark.slow
def test_no_tune_uses_the_hyperparameters_of_the_settings(table: Path, tmp_path: Path) -> None:
    shown = run(tmp_path, f"--data={table}", "--no-tune", "--to=Trainer", "--json")
    assert "Tuner" not in shown.states
    assert shown.summary["hyperparameters"]["hidden_units"] == 16
    assert shown.summary["status"] == "partial"
    assert shown.states["Pusher"] == "skipped"
    rest = run(tmp_path, f"--data={table}", "--no-tune", "--from=Evaluator", "--json")
    assert rest.code == 0, rest.stderr
    assert rest.states["Trainer"] == "skipped"
    assert rest.summary["pushed"] is not None
    assert rest.summary["rows"] == shown.summary["rows"]
    reader = open_reader(tmp_path)
    reason = why(reader, find_run(reader, rest.summary["run_id"]), "Trainer")
    assert reason.because.startswith("reused by --from")
    assert reason.same_as == shown.summary["run_id"]
    assert find_run(reader, shown.summary["run_id"]).status == "partial"
