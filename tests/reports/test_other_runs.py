"""Pages of runs that pushed no model, of other tasks, and of unusual data."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_run import ORIGIN, TinyStore, summary, write_anomalies, write_evaluation, write_statistics
from whole_run import words

from artifacts.nodes.skew import Skew, SkewReport
from artifacts.summary import RunSummary, State
from lineage.errors import LineageError
from models.problem.problem import Task
from reports import index
from reports.index import write_index
from reports.page import write_page


@pytest.fixture
def tiny(tmp_path: Path) -> TinyStore:
    return TinyStore(tmp_path / "output")


def page(tiny: TinyStore, run: str = "run") -> str:
    return write_page(tiny.reader, tiny.output, run).read_text(encoding="utf-8")


def text_of(tiny: TinyStore, ended: RunSummary | None = None, run: str = "run") -> str:
    if ended:
        tiny.end(ended)
    text = words(page(tiny, run))
    assert "cannot be read" not in text
    return text


def evaluated(tiny: TinyStore, task: Task, rows: pd.DataFrame, **problem: Any) -> str:
    """Returns the text of the page of a run that was evaluated on ``rows``."""
    settings = {"task": task, "label": {"name": "kind", **problem}}
    tiny.begin("run", dataclasses.replace(ORIGIN, settings=settings))
    evaluated_run = tiny.execute("run", "Evaluator", outputs={"evaluation": "ModelEvaluation"})
    write_evaluation(tiny.folder(evaluated_run["evaluation"]), task, rows, ["city"])
    return text_of(tiny, summary("run", {"Evaluator": "ran"}))


def test_a_failed_run_names_its_node_and_the_missing_sections(tiny: TinyStore) -> None:
    tiny.begin("run")
    tiny.execute("run", "ExampleGen", outputs={"examples": "Examples"})
    tiny.execute("run", "StatisticsGen", state="failed")
    states: dict[str, State] = {"ExampleGen": "ran", "StatisticsGen": "failed", "Trainer": "skipped"}
    text = text_of(tiny, summary("run", states, status="failed", error="StatisticsGen: <b>disk full"))
    assert "failed Nothing was pushed: a component failed. StatisticsGen: &lt;b&gt;disk full" in text
    assert "StatisticsGen ✗ failed" in text
    assert "No statistics: StatisticsGen failed in this run ." in text
    assert "No curves: Trainer was skipped in this run ." in text
    assert "No TFLite model: TfliteExporter is not a node of this run ." in text


def test_a_run_that_stopped_on_anomalies_shows_them(tiny: TinyStore) -> None:
    tiny.begin("run")
    made = tiny.execute("run", "StatisticsGen", outputs={"statistics": "ExampleStatistics"})
    found = write_statistics(tiny.folder(made["statistics"]), {"train": {"pay": ["Cash", "<i>"]}, "eval": {"pay": []}})
    anomalies = tiny.execute("run", "ExampleValidator", made, {"anomalies": "ExampleAnomalies"})
    schema = 'feature { name: "pay" type: BYTES string_domain { value: "Cash" } }'
    write_anomalies(tiny.folder(anomalies["anomalies"]), found, schema)
    tiny.execute("run", "AnomalyGate", anomalies, state="failed")
    states: dict[str, State] = {
        "StatisticsGen": "ran",
        "ExampleValidator": "ran",
        "AnomalyGate": "failed",
        "Transform": "skipped",
    }
    text = text_of(tiny, summary("run", states, status="anomalies", error="AnomalyGate: …"))
    assert "Stopped before Transform: the data does not match the schema. Nothing was pushed." in text
    assert re.search(r"pay train ERROR Unexpected string values: .*&lt;i&gt;", text)
    assert re.search(r"\(all\) eval ERROR no examples", text)
    assert "eval 0 0.0%" in text


def test_a_cached_run_shows_what_made_its_artifacts(tiny: TinyStore) -> None:
    tiny.begin("first")
    made = tiny.execute("first", "Trainer", {}, {"model_run": "ModelRun"}, custom_config="the settings")
    folder = tiny.folder(made["model_run"])
    (folder / "history.csv").write_text("step,loss,val_loss\n10,0.5,0.25\n")
    (folder / "hyperparameters.json").write_text("{}")
    tiny.end(summary("first", {"Trainer": "ran"}))
    tiny.begin("run")
    tiny.execute("run", "Trainer", outputs=made, state="cached")
    text = text_of(tiny, summary("run", {"Trainer": "cached"}))
    assert "Trainer = cached" in text
    assert "weights from step 10" in text
    assert "made in run first by execution 1" in text
    assert "custom_config the settings" in text


def test_a_killed_run_has_a_page_of_what_is_known(tiny: TinyStore) -> None:
    tiny.begin("run", dataclasses.replace(ORIGIN, host="another machine"))
    examples = tiny.execute("run", "ExampleGen", outputs={"examples": "Examples"})
    tiny.execute("run", "Trainer", examples, state="running")
    text = text_of(tiny)
    assert "unfinished The run recorded no result" in text
    assert "Trainer running" in text
    assert "No curves: Trainer did not finish in this run ." in text
    assert page(tiny).count('<path class="edge" d=') == 1  # from ML Metadata, since there is no summary


def test_a_skewed_model_says_where(tiny: TinyStore) -> None:
    tiny.begin("run")
    guarded = tiny.execute("run", "SkewGuard", outputs={"report": "SkewReport"})
    skew = Skew("transformed", "serve_raw", "fare", 3, "[1]", "<b>")
    (tiny.folder(guarded["report"]) / "report.json").write_text(SkewReport(skew=skew).to_json())
    error = f"SkewGuard: {skew}"
    text = text_of(tiny, summary("run", {"SkewGuard": "ran"}, status="not_blessed", error=error))
    assert "not blessed Nothing was pushed: the model was not blessed." in text
    assert "✗ transformed differs in serve_raw, fare of example 3: training has [1], serving has &lt;b&gt;" in text


@pytest.mark.slow
def test_several_classes_have_a_confusion_matrix(tiny: TinyStore) -> None:
    classes = ["adelie", "<b>", "gentoo"]
    predictions = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]]
    rows = pd.DataFrame({"label": [0, 0, 1, 2, 2], "prediction": predictions, "city": ["a", "a", "b", "b", "b"]})
    text = evaluated(tiny, "multiclass", rows, classes=classes)
    assert "adelie &lt;b&gt; gentoo recall adelie 1 1 0 50.0% &lt;b&gt; 0 1 0 100.0% gentoo 0 0 2 100.0%" in text
    assert re.search(r"overall 5 0\.8000 0\.3755 . 0\.9638", text)  # Wilson's of 4 in 5


@pytest.mark.slow
def test_a_regression_has_intervals_and_no_roc_curve(tiny: TinyStore) -> None:
    draw = np.random.default_rng(0)
    label = draw.normal(10, 2, 200).astype(np.float32)
    rows = pd.DataFrame({"label": label, "prediction": label + draw.normal(0, 1, 200).astype(np.float32), "city": "a"})
    text = evaluated(tiny, "regression", rows)
    assert "Regression models have no ROC curve" in text
    errors = np.abs(rows.label - rows.prediction).to_numpy()
    factor = np.exp(1.972 * errors.std() / np.sqrt(199) / errors.mean())  # Student's, on the logarithmic scale
    mean = errors.mean()
    assert re.search(rf"{mean:.4f} {mean / factor:.4f} . {mean * factor:.4f}", text)


def test_a_table_of_many_columns_stays_small(tiny: TinyStore) -> None:
    tiny.begin("run")
    made = tiny.execute("run", "StatisticsGen", outputs={"statistics": "ExampleStatistics"})
    columns: dict[str, list[float | int | str | None]] = {f"c{place}": [place / 7, None, 3.5] for place in range(100)}
    columns |= {f"שלום {place} ‮": ["a" * 5000, "\x00\x07b", "c"] for place in range(100)}  # noqa: PLE2502
    write_statistics(tiny.folder(made["statistics"]), {"train": columns, "eval": columns})
    text = text_of(tiny, summary("run", {"StatisticsGen": "ran"}))
    assert "200 columns" in text
    made_page = tiny.output / "runs/run/report.html"
    assert made_page.read_text().count("<h4>") == 200
    assert made_page.stat().st_size < 2_000_000
    assert not re.search("[\x00-\x08]", text)


def test_a_folder_that_is_gone_is_named(tiny: TinyStore) -> None:
    tiny.begin("run")
    made = tiny.execute("run", "Trainer", outputs={"model_run": "ModelRun"})
    shutil.rmtree(tiny.folder(made["model_run"]))
    text = text_of(tiny, summary("run", {"Trainer": "ran"}))
    assert re.search(r"No curves: \S+Trainer/model_run/1 no longer exists", text)


def test_a_file_that_cannot_be_read_leaves_the_other_sections_alone(tiny: TinyStore) -> None:
    tiny.begin("run")
    made = tiny.execute("run", "Trainer", outputs={"model_run": "ModelRun"})
    (tiny.folder(made["model_run"]) / "history.csv").write_text("step,loss\nten,0.5\n")
    tiny.end(summary("run", {"Trainer": "ran"}))
    text = words(page(tiny))
    assert "No curves: its files cannot be read: ValueError:" in text
    assert "Trainer ✓ ran" in text


def test_a_run_that_does_not_exist_is_refused(tiny: TinyStore) -> None:
    tiny.begin("run")
    with pytest.raises(LineageError, match="run 'nope': not found"):
        write_page(tiny.reader, tiny.output, "nope")


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_summary_leaves_what_ml_metadata_has(tiny: TinyStore, content: str) -> None:
    tiny.begin("run")
    tiny.execute("run", "Trainer")
    tiny.end(summary("run", {"Trainer": "ran"}))
    (tiny.output / "runs/run/summary.json").write_text(content)
    assert "Trainer ✓ ran" in words(page(tiny))


def test_an_index_draws_no_more_runs_than_it_lists(tiny: TinyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_RUNS", 3)
    for place in range(5):
        tiny.begin(f"run{place}")
        tiny.end(summary(f"run{place}", {}, metrics={"auc": 0.5}))
    html = write_index(tiny.reader, tiny.output).read_text()
    assert len(re.findall(r"<bdi>run\d</bdi>", html)) == 3
    assert "the newest 3 of 5" in html
    assert "auc over 3 runs" in html


def test_index_of_many_runs_has_their_metric_over_time(tiny: TinyStore) -> None:
    for place in range(30):
        run = f"run{place:02d}"
        tiny.begin(run)
        if place % 3:
            tiny.end(summary(run, {"Trainer": "ran"}, metrics={"auc": 0.5 + place / 100}))
    shutil.rmtree(tiny.output / "runs/run01")  # as if it were of another output folder
    html = write_index(tiny.reader, tiny.output).read_text()
    listed = re.findall(r"<bdi>(run\d+)</bdi>", html)
    assert listed == [f"run{place:02d}" for place in range(29, -1, -1) if place != 1]
    assert "auc over 19 runs" in html
    assert "0.7900" in html
    assert "no version" in html
