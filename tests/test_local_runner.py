import json
from pathlib import Path

import pytest
from conftest import POLICY, ROWS, Finished
from pushed_run import PushedRun, executed, open_store

from lineage.queries.diff import diff
from lineage.queries.find_artifact import find_artifact
from lineage.queries.find_run import find_run
from lineage.queries.trace import trace
from lineage.queries.why import why
from lineage.recorded.provenance import read_provenance
from lineage.store.connection import open_reader

pytestmark = pytest.mark.e2e

SUMMARY_KEYS = {
    *("run_id", "problem", "status", "nodes", "rows", "left_out", "warnings", "metrics", "thresholds", "baseline"),
    "hyperparameters",
    *("training", "pushed", "tflite", "error", "seconds"),
}


@pytest.fixture
def output(pushed_run: PushedRun) -> Path:
    return pushed_run.output


@pytest.fixture
def first(pushed_run: PushedRun) -> Finished:
    return pushed_run.finished


def test_first_run_pushes_a_model(first: Finished, output: Path) -> None:
    assert first.code == 0, first.stderr
    summary = first.summary
    assert set(summary) == SUMMARY_KEYS
    assert summary["status"] == "pushed"
    assert set(first.states.values()) == {"ran"}
    assert sum(summary["rows"].values()) == ROWS
    assert set(summary["rows"]) == {"train", "validation", "eval"}
    assert summary["baseline"] is None
    assert summary["metrics"]["example_count"] == summary["rows"]["eval"]
    assert summary["metrics"]["auc"] > 0.6
    assert all(each["ok"] for each in summary["thresholds"])
    gained = {each["metric"]: each for each in summary["thresholds"] if each["kind"] == "better_than_trivial"}
    assert gained["auc"]["trivial"] == 0.5
    assert 0.5 < gained["accuracy"]["trivial"] < 1
    assert gained["accuracy"]["value"] == pytest.approx(
        summary["metrics"]["accuracy"] - gained["accuracy"]["trivial"], abs=1e-6
    )
    assert summary["hyperparameters"]["dropout"] in (0.0, 0.1)
    assert (summary["training"]["workers"], summary["training"]["replicas"]) == (1, 1)
    pushed = Path(summary["pushed"]["path"])
    assert pushed == output / "serving/taxi" / summary["pushed"]["version"]
    assert (pushed / "saved_model.pb").is_file()


def test_run_folder_has_the_summary_and_the_log(first: Finished, output: Path) -> None:
    folder = output / "runs/latest"
    assert folder.resolve() == output / "runs" / first.summary["run_id"]
    assert json.loads((folder / "summary.json").read_text()) == first.summary
    assert list((folder / "tensorboard/train").glob("events.*"))
    assert "tensorflow" in (folder / "log").read_text().lower()
    assert "tensorflow" not in first.stderr.lower().replace("loading tensorflow", "")


def test_report_matches_the_summary(first: Finished, output: Path) -> None:
    page = output / "runs/latest/report.html"
    html = page.read_text(encoding="utf-8")
    assert "cannot be read" not in html
    summary = first.summary
    assert f">{summary['metrics']['auc']:.4f}<" in html
    assert f">{summary['rows']['train']:,}<" in html
    assert f"Version {summary['pushed']['version']} is in {summary['pushed']['path']}" in html
    upstream = {node["id"]: node["upstream"] for node in summary["nodes"]}
    assert "AnomalyGate" in upstream["Transform"]
    assert {*upstream["Pusher"]} >= {"Trainer", "SkewGuard", "Evaluator"}
    assert f"report: {page.resolve()}" in first.stderr
    assert f"{summary['run_id']}/report.html" in (output / "runs/index.html").read_text()


def test_tuned_hyperparameters_reach_the_trainer(first: Finished, output: Path) -> None:
    store = open_store(output)
    [best] = store.get_artifacts_by_type("HyperParameters")
    found = json.loads((Path(best.uri) / "best_hyperparameters.txt").read_text())
    assert found["values"].items() <= first.summary["hyperparameters"].items()


def test_lineage_matches_the_summary(pushed_run: PushedRun, first: Finished, output: Path) -> None:
    reader, summary = open_reader(output), first.summary
    recorded = find_run(reader, summary["run_id"])
    assert (recorded.pipeline, recorded.status, recorded.version) == ("taxi", "pushed", summary["pushed"]["version"])
    assert recorded.metrics == summary["metrics"]
    assert recorded.seconds == summary["seconds"]
    assert recorded.origin
    assert "local_runner.py" in recorded.origin.command
    assert recorded.origin.settings["training"]["steps"] == 60
    assert recorded.origin.settings["data"]["path"] == str(pushed_run.table)
    version = Path(summary["pushed"]["path"])
    story = trace(reader, find_artifact(reader, output, version.name))
    assert story.rows == summary["rows"]
    assert story.metrics == summary["metrics"]
    assert story.hyperparameters == summary["hyperparameters"]
    assert len(story.trials) == 2
    assert story.trials[0].items() >= {"dropout": story.hyperparameters["dropout"]}.items()
    assert [each.judge for each in story.judgements if each.blessed] == [
        *("AnomalyGate", "SkewGuard", "Evaluator", "TfliteExporter")
    ]
    assert [(data.files, data.as_they_were) for data in story.data] == [([str(pushed_run.table / "taxi.csv")], True)]
    ours = {
        *("ExampleGen", "StatisticsGen", "AnomalyGate", "Transform", "Tuner", "Trainer", "SkewGuard", "Evaluator"),
        "TfliteExporter",
    }
    assert ours == set(story.code)
    provenance = read_provenance(version)
    assert provenance
    assert (provenance.pipeline, provenance.run_id, provenance.version) == ("taxi", recorded.run_id, version.name)
    assert (provenance.commit, provenance.dirty) == (recorded.origin.commit, recorded.origin.dirty)
    assert provenance.model_uri == story.model[0].uri


def test_unchanged_rerun_executes_nothing(pushed_run: PushedRun, first: Finished, output: Path) -> None:
    again = pushed_run.rerun()
    assert again.code == 0
    assert executed(output, again.summary["run_id"]) == set()
    assert set(again.states.values()) == {"cached"}
    assert again.summary["pushed"] == first.summary["pushed"]
    assert again.summary["metrics"] == first.summary["metrics"]
    reader = open_reader(output)
    before, after = (find_run(reader, each.summary["run_id"]) for each in (first, again))
    assert diff(reader, before, after).changes == []
    assert why(reader, after, "Trainer").same_as == first.summary["run_id"]


def test_worse_model_is_not_pushed(pushed_run: PushedRun, output: Path) -> None:
    before = sorted(path.name for path in (output / "serving/taxi").iterdir())
    untrained = {"hidden_units": 16, "learning_rate": 1e-9}
    policy = [{"metric": "auc", "min": 0.0}, *POLICY[1:3]]
    worse = pushed_run.rerun("--no-tune", network__hyperparameters=untrained, evaluation__thresholds=policy)
    assert worse.code == 4, worse.stderr
    assert worse.summary["status"] == "not_blessed"
    assert worse.summary["pushed"] is None
    assert worse.summary["baseline"] in before
    [missed] = [each for each in worse.summary["thresholds"] if not each["ok"]]
    assert (missed["metric"], missed["kind"]) == ("auc", "change")
    assert missed["value"] < missed["bound"]
    assert "auc" in worse.stderr
    reader = open_reader(output)
    recorded = find_run(reader, worse.summary["run_id"])
    assert (recorded.status, recorded.version, recorded.metrics) == ("not_blessed", None, worse.summary["metrics"])
    changed = {each.what: (each.before, each.after) for each in why(reader, recorded, "Trainer").changes}
    assert changed["network.hyperparameters.learning_rate"] == (0.01, 1e-9)
    story = trace(reader, find_artifact(reader, output, "Trainer.model"))
    assert [(each.judge, each.blessed) for each in story.judgements][-1] == ("Evaluator", False)
    assert [each.version for each in story.baseline] == [worse.summary["baseline"]]
    assert "MISSED" in worse.stderr
    assert sorted(path.name for path in (output / "serving/taxi").iterdir()) == before
