"""One run with all sections, which the tests of a process share."""

import dataclasses
import functools
import json
import re
import tempfile
from pathlib import Path

import pandas as pd
from report_run import (
    GAINED,
    KEPT,
    NO_ROWS,
    Columns,
    TinyStore,
    binary_rows,
    summary,
    write_anomalies,
    write_evaluation,
    write_statistics,
)

from artifacts.nodes.label_counts import label_counts_file, label_counts_json
from artifacts.nodes.skew import SkewReport
from artifacts.nodes.tflite import TfliteReport
from artifacts.summary import Pushed, State
from reports.index import write_index
from reports.page import write_page

RUN = "20260102T030405.000Z"
HOSTILE = "<script>alert(1)</script>&\"'$x_"
NODES = ("ExampleGen", "StatisticsGen", "ExampleValidator", "Transform", "Tuner", "Trainer", "SkewGuard", "Evaluator")
SCHEMA = """
    feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 } }
    feature { name: "hour" type: INT }
    feature { name: "nothing" type: FLOAT }
    feature { name: "city" type: BYTES domain: "cities" }
    string_domain { name: "cities" value: "Genf" }
"""
PROBLEM = {"task": "binary", "label": {"name": "tip", "column": "tips", "classes": ["mean", HOSTILE]}}
TRAIN: Columns = {
    "fare": [1.0, 2.0, 3.0, 4.0, None, 6.0, 7.0, 8.0],
    "hour": [0, 0, 0, 1, 2, 3, 3, 3],
    "nothing": [None] * 8,
    "city": ["Genf", "Genf", "Genf", "Genf", "Genf", "Genf", HOSTILE, None],
}
EVAL: Columns = {
    "fare": [2.0, 4.0, 6.0, 8.0],
    "hour": [3, 3, 3, 3],
    "nothing": [None] * 4,
    "city": ["Genf", "Genf", "Genf", "\u202e東京"],
}

TFLITE = TfliteReport(
    rows=77,
    max_abs_diff=1e-7,
    metric="auc",
    saved_model=0.75,
    tflite=0.75,
    p50_ms=0.25,
    p99_ms=0.5,
    loss=0.0,
    quantization="int8",
    bytes=4321,
    operators=("ADD",),
    builtin_only=True,
    bounds=(),
    reason="",
)


@dataclasses.dataclass(frozen=True)
class RunPages:
    """A run, its evaluated rows and its pages."""

    tiny: TinyStore
    rows: pd.DataFrame
    page: Path
    index: Path

    @property
    def html(self) -> str:
        return self.page.read_text(encoding="utf-8")


_TEMPORARY = tempfile.TemporaryDirectory(prefix="whole_run")


@functools.cache
def whole_run() -> RunPages:
    """Returns the run of this process. Its evaluation takes seconds."""
    output = Path(_TEMPORARY.name) / "output"
    tiny = TinyStore(output)
    tiny.begin(RUN)
    rows = fill(tiny)
    states: dict[str, State] = dict.fromkeys((*NODES, "TfliteExporter", "Pusher"), "ran")
    (output / "serving/tiny/7").mkdir(parents=True)
    (output / "serving/tiny/7/saved_model.pb").touch()
    (output / "serving/tiny/8").mkdir()  # not complete yet
    pushed = Pushed("7", str(output / "serving/tiny/7"))
    metrics = {"auc": 0.75, "accuracy": float("nan"), HOSTILE: 1.0}
    ended = summary(RUN, states, status="pushed", pushed=pushed, metrics=metrics, thresholds=[KEPT, GAINED, NO_ROWS])
    tiny.end(ended)
    return RunPages(tiny, rows, write_page(tiny.reader, output, RUN), write_index(tiny.reader, output))


def fill(tiny: TinyStore) -> pd.DataFrame:
    """Writes the executions of a complete run and their files; returns the evaluated rows."""
    examples = tiny.execute(RUN, "ExampleGen", outputs={"examples": "Examples"})
    statistics = tiny.execute(RUN, "StatisticsGen", examples, {"statistics": "ExampleStatistics"})
    found = write_statistics(tiny.folder(statistics["statistics"]), {"train": TRAIN, "eval": EVAL})
    anomalies = tiny.execute(RUN, "ExampleValidator", statistics, {"anomalies": "ExampleAnomalies"})
    write_anomalies(tiny.folder(anomalies["anomalies"]), found, SCHEMA)
    settings = json.dumps({"problem": PROBLEM})
    transformed = {"transform_graph": "TransformGraph", "transformed_examples": "Examples"}
    graph = tiny.execute(RUN, "Transform", examples, transformed, custom_config=settings)
    for split, counts in {"train": {0: 6, 1: 2}, "eval": {0: 3, 1: 1}}.items():
        path = tiny.folder(graph["transformed_examples"]) / label_counts_file(split)
        path.write_text(label_counts_json(counts))
    tuned = tiny.execute(
        RUN, "Tuner", graph, {"tuner_results": "TunerResults", "best_hyperparameters": "HyperParameters"}
    )
    trials = [{"trial_id": str(place), "score": 1 / (place + 1), "units": place} for place in range(1000)]
    trials.append({"trial_id": "failed", "score": None, "units": 5000})
    (tiny.folder(tuned["tuner_results"]) / "tuner_results.json").write_text(json.dumps(trials))
    trained = tiny.execute(RUN, "Trainer", graph, {"model": "Model", "model_run": "ModelRun"})
    run_folder = tiny.folder(trained["model_run"])
    (run_folder / "history.csv").write_text("step,loss,val_loss\n10,0.7071,0.70543\n20,0.7054,0.70542\n30,0.7082,nan\n")
    (run_folder / "hyperparameters.json").write_text(json.dumps({"units": 999, "dropout": 0.125}))
    guarded = tiny.execute(
        RUN, "SkewGuard", {"model": trained["model"], **examples}, {"report": "SkewReport", "blessing": "InfraBlessing"}
    )
    skew = SkewReport(examples=77, compared={"serve_raw": 385})
    (tiny.folder(guarded["report"]) / "report.json").write_text(skew.to_json())
    judged = tiny.execute(
        RUN, "Evaluator", {"model": trained["model"], **examples}, {"evaluation": "ModelEvaluation", "blessing": "B"}
    )
    rows = binary_rows()
    write_evaluation(tiny.folder(judged["evaluation"]), "binary", rows, ["city"])
    exported = tiny.execute(RUN, "TfliteExporter", {"model": trained["model"]}, {"tflite_model": "TfliteModel"})
    (tiny.folder(exported["tflite_model"]) / "report.json").write_text(TFLITE.to_json())
    tiny.execute(RUN, "Pusher", {"model": trained["model"], **exported}, {"pushed_model": "PushedModel"})
    return rows


def words(html: str) -> str:
    """Returns the text of a page, without markup."""
    body = html[html.index("<body>") : html.rindex("<script>")]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())
