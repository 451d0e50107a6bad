import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import POLICY, ROOT, ROWS, Finished, arguments, run, wait_for
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

pytestmark = pytest.mark.e2e

EXECUTED = ("Transform", "Tuner", "Trainer", "Evaluator", "Pusher")
SUMMARY_KEYS = {
    *("run_id", "problem", "status", "nodes", "rows", "metrics", "thresholds", "baseline", "hyperparameters"),
    *("pushed", "tflite", "error", "seconds"),
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first") / "output"


@pytest.fixture(scope="module")
def first(output: Path, table: Path) -> Finished:
    return run(output, f"--data={table}", "--json")


def open_store(output: Path) -> metadata_store.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(output / "metadata.db")
    return metadata_store.MetadataStore(config)


def executions(output: Path, run_id: str) -> dict[str, int]:
    """Last known state by node, from ML Metadata."""
    store = open_store(output)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    states = {}
    for execution in store.get_executions_by_context(context.id):
        nodes = [each.name for each in store.get_contexts_by_execution(execution.id) if each.type == "node"]
        states[nodes[0].partition(".")[2]] = execution.last_known_state
    return states


def executed(output: Path, run_id: str) -> set[str]:
    """Nodes whose executor ran, from ML Metadata; a resolver has none."""
    complete = metadata_store_pb2.Execution.COMPLETE
    return {node for node, state in executions(output, run_id).items() if state == complete} - {"LatestBlessedModel"}


def test_first_run_pushes_a_model_and_says_so(first: Finished, output: Path) -> None:
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
    assert summary["hyperparameters"]["dropout"] in (0.0, 0.1)
    pushed = Path(summary["pushed"]["path"])
    assert pushed == output / "serving/taxi" / summary["pushed"]["version"]
    assert (pushed / "saved_model.pb").is_file()


def test_run_folder_holds_the_summary_and_the_noise(first: Finished, output: Path) -> None:
    folder = output / "runs/latest"
    assert folder.resolve() == output / "runs" / first.summary["run_id"]
    assert json.loads((folder / "summary.json").read_text()) == first.summary
    assert "tensorflow" in (folder / "log").read_text().lower()
    assert "tensorflow" not in first.stderr.lower().replace("loading tensorflow", "")


def test_tuned_hyperparameters_reach_the_trainer(first: Finished, output: Path) -> None:
    store = open_store(output)
    [best] = store.get_artifacts_by_type("HyperParameters")
    found = json.loads((Path(best.uri) / "best_hyperparameters.txt").read_text())
    assert found["values"].items() <= first.summary["hyperparameters"].items()


def test_unchanged_rerun_executes_nothing(first: Finished, output: Path, table: Path) -> None:
    again = run(output, f"--data={table}", "--json")
    assert again.code == 0
    assert executed(output, again.summary["run_id"]) == set()
    assert set(again.states.values()) == {"cached"}
    assert again.summary["pushed"] == first.summary["pushed"]
    assert again.summary["metrics"] == first.summary["metrics"]


def test_changed_network_reruns_from_the_tuner(first: Finished, output: Path, table: Path) -> None:
    changed = {"hidden_units": 17, "learning_rate": 0.01}
    again = run(output, f"--data={table}", "--json", network__hyperparameters=changed)
    assert executed(output, again.summary["run_id"]) == {"Tuner", "Trainer", "SkewGuard", "Evaluator", "Pusher"}


def test_changed_features_rerun_from_transform(first: Finished, output: Path, table: Path) -> None:
    again = run(output, f"--data={table}", "--json", "--no-tune", features__bucketed={})
    expected = {"Transform", "Trainer", "SkewGuard", "Evaluator", "Pusher"}
    assert executed(output, again.summary["run_id"]) == expected


def test_model_that_is_no_longer_served_is_pushed_again(first: Finished, output: Path, table: Path) -> None:
    again = run(output, f"--data={table}", "--json")
    # Another model was pushed since: this one is compared with that, and pushed over it.
    assert executed(output, again.summary["run_id"]) == {"Evaluator", "Pusher"}
    assert again.summary["pushed"]["version"] > first.summary["pushed"]["version"]
    shutil.rmtree(output / "serving")
    last = run(output, f"--data={table}", "--json")
    assert executed(output, last.summary["run_id"]) == {"Pusher"}
    assert (Path(last.summary["pushed"]["path"]) / "saved_model.pb").is_file()


def test_worse_model_is_not_pushed(first: Finished, output: Path, table: Path) -> None:
    before = sorted(path.name for path in (output / "serving/taxi").iterdir())
    untrained = {"hidden_units": 16, "learning_rate": 1e-9}
    policy = [{"metric": "auc", "min": 0.0}, *POLICY[1:]]
    worse = run(
        output,
        f"--data={table}",
        "--no-tune",
        "--json",
        network__hyperparameters=untrained,
        evaluation__thresholds=policy,
    )
    assert worse.code == 4, worse.stderr
    assert worse.summary["status"] == "not_blessed"
    assert worse.summary["pushed"] is None
    assert worse.summary["baseline"] in before
    [missed] = [each for each in worse.summary["thresholds"] if not each["ok"]]
    assert (missed["metric"], missed["kind"]) == ("auc", "change")
    assert missed["value"] < missed["bound"]
    assert "auc" in worse.stderr
    assert "MISSED" in worse.stderr
    assert sorted(path.name for path in (output / "serving/taxi").iterdir()) == before


def test_better_model_is_pushed_beside_the_one_before(table: Path, tmp_path: Path) -> None:
    weak = run(tmp_path, f"--data={table}", "--no-tune", "--json", training__steps=20)
    better = run(tmp_path, f"--data={table}", "--no-tune", "--json", training__steps=120)
    assert (weak.code, better.code) == (0, 0), better.stderr
    assert better.summary["baseline"] == weak.summary["pushed"]["version"]
    change = next(each for each in better.summary["thresholds"] if each["kind"] == "change")
    assert change["value"] == pytest.approx(better.summary["metrics"]["auc"] - weak.summary["metrics"]["auc"], abs=1e-6)
    assert int(better.summary["pushed"]["version"]) > int(weak.summary["pushed"]["version"])
    assert (tmp_path / "serving/taxi" / weak.summary["pushed"]["version"] / "saved_model.pb").is_file()


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


def test_from_a_node_needs_an_earlier_run(table: Path, tmp_path: Path) -> None:
    refused = run(tmp_path, f"--data={table}", "--from=Trainer")
    assert refused.code == 2
    assert "Expected an earlier run to go on from" in refused.stdout


def test_category_outside_its_domain_stops_before_transform(table: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(table, bad)
    path = bad / "taxi.csv"
    path.write_text(path.read_text().replace("Credit Card", "Kredit Card"))
    stopped = run(tmp_path / "out", f"--data={bad}", "--json")
    assert stopped.code == 3
    assert stopped.summary["status"] == "anomalies"
    assert stopped.states["AnomalyGate"] == "failed"
    assert {stopped.states[node] for node in EXECUTED} == {"skipped"}
    line = next(line for line in stopped.stderr.splitlines() if "Kredit Card" in line)
    assert "payment_type" in line
    assert "Credit Card, Dispute" in line
    assert not (tmp_path / "out/serving").exists()
    mended = run(tmp_path / "out", f"--data={table}", "--to=AnomalyGate", "--json")
    assert mended.code == 0
    assert mended.states["AnomalyGate"] == "ran"


def test_label_that_never_changes_ends_in_one_line(table: Path, tmp_path: Path) -> None:
    failed = run(tmp_path, f"--data={table}", "--json", label__above={"value": 1e9})
    assert failed.code == 1
    assert failed.summary["status"] == "failed"
    assert failed.summary["error"].startswith("Tuner: label 'generous_tip' is 'ordinary' in all of the ")
    assert "\n" not in failed.summary["error"]
    assert failed.summary["error"] in failed.stderr.replace("\n", "")
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "serving").exists()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("empty.csv", "", "empty.csv: the file is empty"),
        ("header.csv", "fare,tips\n", "found a header and no rows"),
        ("ragged.csv", "fare,tips\n1,2\n1,2,3\n", "line 3: found 3 values; expected 2"),
        ("label.csv", "fare,tipps\n1,2\n", "unknown label column 'tips'"),
    ],
)
def test_unusable_table_is_refused_before_anything_runs(tmp_path: Path, name: str, text: str, expected: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text(text)
    refused = run(tmp_path / "out", f"--data={data}")
    assert refused.code == 2
    assert expected in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused = run(tmp_path / "out", f"--data={tmp_path / 'gone'}", "--json")
    assert refused.code == 2
    assert refused.summary["status"] == "failed"
    assert "found nothing; expected a folder" in refused.summary["error"]


def test_misspelt_setting_names_the_nearest(tmp_path: Path) -> None:
    refused = run(tmp_path, training__stepz=3)
    assert refused.code == 2
    assert "did you mean 'steps'?" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_second_run_on_one_output_is_refused(table: Path, tmp_path: Path) -> None:
    command = arguments(tmp_path, f"--data={table}", "--to=ExampleGen")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as running:
        wait_for(tmp_path, "", running)
        second = run(tmp_path, f"--data={table}", "--to=ExampleGen")
        running.communicate()
    assert running.returncode == 0
    assert second.code == 2
    assert "another run is using it" in second.stderr


def test_help_names_every_option_and_exit_code() -> None:
    shown = subprocess.run(
        [sys.executable, str(ROOT / "local_runner.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in ("--config", "--data", "--output", "--set", "--tune / --no-tune", "--from", "--to", "--no-cache"):
        assert option in shown
    assert "4 the model was not blessed" in shown
