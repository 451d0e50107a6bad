from pathlib import Path

import pytest
from conftest import run

pytestmark = pytest.mark.e2e


@pytest.mark.slow
def test_better_model_is_pushed_beside_the_one_before(table: Path, tmp_path: Path) -> None:
    weak = run(tmp_path, f"--data={table}", "--no-tune", "--json", training__steps=20)
    better = run(tmp_path, f"--data={table}", "--no-tune", "--json", training__steps=120)
    assert (weak.code, better.code) == (0, 0), better.stderr
    assert better.summary["baseline"] == weak.summary["pushed"]["version"]
    change = next(each for each in better.summary["thresholds"] if each["kind"] == "change")
    assert change["value"] == pytest.approx(better.summary["metrics"]["auc"] - weak.summary["metrics"]["auc"], abs=1e-6)
    assert int(better.summary["pushed"]["version"]) > int(weak.summary["pushed"]["version"])
    assert (tmp_path / "serving/taxi" / weak.summary["pushed"]["version"] / "saved_model.pb").is_file()


@pytest.mark.slow
def test_no_tune_takes_the_settings_hyperparameters(table: Path, tmp_path: Path) -> None:
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
