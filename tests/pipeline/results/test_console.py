import dataclasses
import io
import math
import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from artifacts.summary import Node, Pushed, Status, Tflite, failed_summary
from artifacts.thresholds import ThresholdResult
from custom_components.anomaly_gate.anomaly import Anomaly
from pipeline.results.console import RunConsole

KEPT = ThresholdResult("auc", "overall", "value", ">=", 0.93, 0.95, True)
MISSED = ThresholdResult("accuracy", "payment_type=Credit Card", "value", ">=", 0.65, 0.6, False)
CHANGE = ThresholdResult("auc", "overall", "change", ">=", -0.005, 0.01, True)
ANOMALY = Anomaly("train", "payment_type", "'Crypto' in 3 rows", "Cash, Credit Card")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")


def ended(
    status: Status,
    thresholds: tuple[ThresholdResult, ...] = (),
    anomalies: tuple[Anomaly, ...] = (),
    file: io.StringIO | None = None,
    **fields: object,
) -> str:
    changes = {"status": status, "thresholds": thresholds, "seconds": 12.34, **fields}
    summary = dataclasses.replace(failed_summary("taxi", ""), **changes)  # type: ignore[arg-type]
    file = file or io.StringIO()
    RunConsole(file).end(summary, anomalies, Path("output/taxi/log"), "configs/taxi.yaml")
    return file.getvalue()


def test_piped_run_is_one_plain_line_per_node() -> None:
    file = io.StringIO()
    console = RunConsole(file)
    console.begin("taxi", "run-1", Path("output/taxi/log"), ["column 1 has no name: it is 'column_1'"])
    for node in [Node("Trainer", "ran", 61.25), Node("Tuner", "cached", 0.1), Node("Pusher", "skipped")]:
        console.node_started(node.id)
        console.node_finished(node)
    console.node_finished(Node("Evaluator", "failed", 2))
    assert file.getvalue().splitlines() == [
        "taxi run run-1, log in output/taxi/log",
        "  column 1 has no name: it is 'column_1'",
        "  Trainer             ran     61.2 s",
        "  Tuner               cached",
        "  Pusher              skipped",
        "  Evaluator           failed      2.0 s",
    ]


def test_piped_thresholds_are_a_plain_line_each() -> None:
    text = ended("not_blessed", (KEPT, MISSED, CHANGE), baseline="3")
    assert text.splitlines() == [
        "Thresholds, compared with version 3:",
        "  metric: auc; slice: overall; bound: >= 0.93; value: 0.95000; ok",
        "  metric: accuracy; slice: payment_type=Credit Card; bound: >= 0.65; value: 0.60000; MISSED",
        "  metric: auc; slice: overall; bound: change >= -0.005; value: +0.01000; ok",
        "not blessed: nothing was pushed",
        "12.3 s in total. Next: change the network or evaluation.thresholds in configs/taxi.yaml, then run again",
    ]


def test_gain_over_the_trivial_model_is_shown_with_its_metric() -> None:
    gained = ThresholdResult("accuracy", "overall", "better_than_trivial", ">=", 0.05, 0.04, False, 0.8)
    assert (
        "  metric: accuracy; slice: overall; bound: better than trivial by >= 0.05; value: +0.04000 (trivial model: "
        "0.80000); MISSED"
    ) in ended("not_blessed", (gained,)).splitlines()


def test_bound_without_a_value_says_why() -> None:
    no_baseline = dataclasses.replace(CHANGE, value=None)
    no_rows = dataclasses.replace(MISSED, value=None, undefined="no rows")
    no_value = dataclasses.replace(MISSED, value=math.nan, undefined="needs rows of both classes")
    lines = ended("not_blessed", (no_baseline, no_rows, no_value)).splitlines()
    assert lines[0] == "Thresholds, without a model to compare with:"
    assert lines[1].endswith("value: no baseline; ok")
    assert lines[2].endswith("value: no rows; MISSED")
    assert lines[3].endswith("value: not defined: needs rows of both classes; MISSED")


def test_pushed_run_shows_its_metrics_version_and_folder() -> None:
    metrics = {"auc": 0.95, "pr_auc": 0.9, "accuracy": 0.91234, "precision": 0.8, "recall": 0.7}
    lines = ended("pushed", metrics=metrics, pushed=Pushed("4", str(Path.cwd() / "output/4"))).splitlines()
    assert lines[0] == "eval split: auc 0.9500, pr_auc 0.9000, accuracy 0.9123, precision 0.8000"
    assert lines[1] == "pushed version 4 to output/4"
    assert "output/4" in lines[2].partition("Next: ")[2]


def test_run_shows_where_its_page_is() -> None:
    file = io.StringIO()
    pushed = dataclasses.replace(failed_summary("taxi", ""), status="partial", seconds=1.0)
    RunConsole(file).end(pushed, (), Path("log"), "configs/taxi.yaml", Path.cwd() / "runs/1/report.html")
    assert file.getvalue().splitlines()[-2:] == [
        "report: runs/1/report.html",
        "1.0 s in total. Next: run the same command without --to",
    ]


TFLITE = Tflite("/out/tflite/4/model.tflite", 169_920, "none", True, 1e-7, "auc", 0.95, 0.95, 0.0612, 0.1)


def test_pushed_run_shows_what_devices_get() -> None:
    shown = ended("pushed", pushed=Pushed("4", "/out/4"), tflite=TFLITE)
    assert "  TFLite: 170 kB, 0.061 ms per row, in /out/tflite/4" in shown.splitlines()


def test_a_model_that_is_not_pushed_to_devices_says_what_to_change() -> None:
    bound = ThresholdResult("tflite_auc_loss", "overall", "value", "<=", 0.002, 0.00301, False)
    error = "TfliteExporter: tflite_auc_loss is 0.00301; expected at most 0.002"
    shown = ended("not_blessed", (KEPT, bound), error=error).splitlines()
    assert "  metric: tflite_auc_loss; slice: overall; bound: <= 0.002; value: 0.00301; MISSED" in shown
    assert error in shown
    assert shown[-1].endswith("Next: change tflite in configs/taxi.yaml, then run again")


def test_a_small_value_is_not_shown_as_zero() -> None:
    bound = ThresholdResult("tflite_max_abs_diff", "overall", "value", "<=", 1e-5, 1.8e-7, True)
    assert "value: 1.8e-07;" in ended("pushed", (bound,), pushed=Pushed("4", "/out/4"))


def test_anomalies_are_named_with_what_the_schema_allows() -> None:
    text = ended("anomalies", anomalies=(ANOMALY,))
    assert text.splitlines()[:3] == [
        "Anomalies:",
        "  feature: payment_type; split: train; found: 'Crypto' in 3 rows; the schema allows: Cash, Credit Card",
        "stopped before Transform: nothing was pushed",
    ]
    assert "configs/taxi.yaml" in text.splitlines()[3]


def test_failed_run_shows_its_error_and_log() -> None:
    lines = ended("failed", error="Trainer: out of memory").splitlines()
    assert lines[0] == "failed Trainer: out of memory"
    assert lines[1].endswith("output/taxi/log")


def test_partial_run_pushed_nothing() -> None:
    assert "nothing was pushed" in ended("partial").splitlines()[0]


def test_refusal_is_one_line_however_long() -> None:
    file = io.StringIO()
    RunConsole(file).error("configs/taxi.yaml: " + "a very long reason " * 40)
    assert file.getvalue().count("\n") == 1
    assert file.getvalue().startswith("error configs/taxi.yaml: ")


@pytest.mark.parametrize("file", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_brackets_of_the_data_are_no_markup(file: io.StringIO) -> None:
    anomaly = Anomaly("train", "[red]a[/red]", "[/]", "[bold]b")
    text = ended("anomalies", anomalies=(anomaly,), file=file)
    assert "[red]a[/red]" in text
    assert "[/]" in text
    assert "[bold]b" in text


@pytest.mark.parametrize("file", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_control_characters_of_the_data_are_shown(file: io.StringIO) -> None:
    anomaly = Anomaly("train", "a\x1b]0;title\x07", "\x9b2J", "\x1b[2J")
    text = ended("anomalies", anomalies=(anomaly,), error="\x1b[2J", file=file)
    for shown in ("a\\x1b]0;title\\x07", "\\x9b2J", "\\x1b[2J"):
        assert shown in text
    assert not any(code in text for code in ("\x1b[2J", "\x1b]0;", "\x9b"))


def test_printed_commands_can_be_pasted() -> None:
    log = Path.cwd() / "my output/$HOME/log"
    file = io.StringIO()
    RunConsole(file).end(failed_summary("taxi", "error"), (), log, "configs/taxi.yaml")
    assert file.getvalue().splitlines()[-1].endswith("Next: less 'my output/$HOME/log'")
    pushed = Pushed("4", str(Path.cwd() / "it's/4"))
    command = ended("pushed", metrics={}, pushed=pushed).splitlines()[-1].partition("Next: ")[2]
    assert shlex.split(command)[-1] == "it's/4"


def test_console_that_cannot_be_written_does_not_end_the_run() -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        console = RunConsole(full)
        console.begin("taxi", "run-1", Path("log"))
        console.node_started("Trainer")
        console.node_finished(Node("Trainer", "ran", 0.2))
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # for what is left in its buffer


def test_path_outside_the_current_folder_is_absolute(tmp_path: Path) -> None:
    file = io.StringIO()
    RunConsole(file).begin("taxi", "run-1", tmp_path / "log")
    assert file.getvalue() == f"taxi run run-1, log in {tmp_path / 'log'}\n"


def test_terminal_shows_tables_with_a_header() -> None:
    terminal = ended("not_blessed", (KEPT, MISSED), anomalies=(ANOMALY,), file=Terminal())
    [header] = [line for line in terminal.splitlines() if "metric" in line]
    assert all(name in header for name in ("slice", "bound", "value"))
    [row] = [line for line in terminal.splitlines() if "MISSED" in line]
    assert "payment_type=Credit Card" in row
    assert "metric: " not in terminal
    assert "│" in row
    assert max(len(line) for line in row.splitlines()) <= 100


def test_terminal_shows_the_running_node_and_then_only_its_line() -> None:
    file = Terminal()
    console = RunConsole(file)
    console.node_started("Trainer")
    time.sleep(0.2)
    live = file.getvalue()
    console.node_finished(Node("Trainer", "ran", 0.2))
    assert "Trainer" in live
    assert "0:00:00" in live
    assert "\x1b[1A\x1b[2K" in file.getvalue()[len(live) :]
    assert "Trainer             \x1b[32mran" in file.getvalue().splitlines()[-1]


def test_terminal_does_not_show_what_is_printed_while_a_node_runs() -> None:
    file = Terminal()
    console = RunConsole(file)
    console.node_started("Trainer")
    sys.stdout.write("noise\n")
    sys.stderr.write("noise\n")
    console.node_finished(Node("Trainer", "ran", 0.2))
    assert "noise" not in file.getvalue()
