import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artifacts.files import UNREADABLE
from artifacts.fingerprint import matches_fingerprint
from artifacts.names import (
    ANOMALIES_FILE,
    HISTORY_FILE,
    HYPERPARAMETERS_FILE,
    REPORT_FILE,
    STATISTICS_FILE,
    SUMMARY_FILE,
    TRAINING_FILE,
    TRIALS_FILE,
)
from artifacts.nodes.anomalies import read_anomalies
from artifacts.nodes.blessing import Blessing, read_blessing
from artifacts.nodes.data_source import DataSource
from artifacts.nodes.push import Push, read_push
from artifacts.nodes.skew import Skew, SkewReport, read_skew_report
from artifacts.nodes.statistics import read_readable_rows, read_rows, split_names
from artifacts.nodes.tflite import TfliteReport, read_tflite_report, upper_bound
from artifacts.nodes.training import (
    Curve,
    TrainingRecord,
    format_history,
    read_history,
    read_hyperparameters,
    read_training,
)
from artifacts.nodes.trials import Trial, read_trials
from artifacts.summary import read_summary

Reader = Callable[[Path], Any]
READERS: dict[str, Reader] = {
    HYPERPARAMETERS_FILE: read_hyperparameters,
    TRIALS_FILE: read_trials,
    REPORT_FILE: read_skew_report,
    SUMMARY_FILE: lambda folder: read_summary(folder / SUMMARY_FILE),
    f"Split-train/{STATISTICS_FILE}": lambda folder: read_rows(folder, ["train"]),
}
# Damaged files that some readers take: any object without keys is a report, and protocol buffers may be empty.
DAMAGED = {
    f"Split-train/{ANOMALIES_FILE}": (lambda folder: read_anomalies(folder, "train"), [b"\xff", b"[1]"]),
    HISTORY_FILE: (read_history, [b"\xff", b"step,loss\nten,0.5\n", b"loss\n0.5\n"]),
    TRAINING_FILE: (read_training, [b"", b"[1]", b'{"strategy": "none"}']),
}
REPORT = TfliteReport(
    rows=7,
    max_abs_diff=1e-7,
    metric="auc",
    saved_model=0.75,
    tflite=float("nan"),
    p50_ms=0.25,
    p99_ms=0.5,
    loss=float("nan"),
    quantization="int8",
    bytes=4321,
    operators=("ADD", "MUL"),
    builtin_only=True,
    bounds=(upper_bound("tflite_auc_loss", 0.002).check(float("nan")), upper_bound("diff", 1e-5).check(1e-7)),
    reason="tflite_auc_loss is not defined on the eval split; expected at most 0.002",
)


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


@pytest.mark.parametrize("folder", ["/no/such/folder", "gs://bucket/folder"])
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_missing_or_remote_is_an_os_error(name: str, folder: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        READERS[name](Path(folder))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'"text"', b'{"a":', b"[" * 100_000])
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_a_value_error_that_names_it(name: str, content: bytes, tmp_path: Path) -> None:
    write(tmp_path, name, content)
    with pytest.raises(ValueError, match=str(tmp_path / name)):
        READERS[name](tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [(name, each) for name, (_, damaged) in DAMAGED.items() for each in damaged]
)
def test_other_damaged_files_are_unreadable(name: str, content: bytes, tmp_path: Path) -> None:
    write(tmp_path, name, content)
    with pytest.raises(UNREADABLE):
        DAMAGED[name][0](tmp_path)


def test_splits_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    assert read_readable_rows(Path("/no/such/folder"), ["train", "eval"]) == {}
    write(tmp_path, f"Split-train/{STATISTICS_FILE}", b"\xff")
    assert read_readable_rows(tmp_path, ["train"]) == {}


def test_splits_are_those_of_the_property() -> None:
    assert split_names({"split_names": '["train", "eval"]'}) == ["train", "eval"]
    assert split_names({}) == []


def test_files_that_changed_do_not_match_their_fingerprint(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv")]
    for file, seconds in zip(files, (3000, 5), strict=True):
        file.write_text("12345")
        os.utime(file, (seconds, seconds))
    names = list(map(str, files))
    fingerprint = f"split:s,num_files:2,total_bytes:10,xor_checksum:{3000 ^ 5},sum_checksum:3005"
    assert matches_fingerprint(names, fingerprint) is True
    os.utime(files[0], (3001, 3001))
    assert matches_fingerprint(names, fingerprint) is False
    assert matches_fingerprint(names[:1], fingerprint) is False
    assert matches_fingerprint(names, "the digest of a query") is None


def test_a_data_source_is_a_folder_with_patterns_or_a_query(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    config = '{"splits": [{"name": "s", "pattern": "*.csv"}]}'
    table = DataSource.from_properties({"input_base": str(tmp_path), "input_config": config})
    assert (str(table), table.files()) == (f"{tmp_path}/*.csv", [str(tmp_path / "a.csv")])
    assert table.test_files() == []
    (tmp_path / "test").mkdir()
    (tmp_path / "test/b.csv").touch()
    for test, files in ((tmp_path / "test", ["b.csv"]), (tmp_path / "test/b.csv", ["b.csv"]), (tmp_path / "no", [])):
        options = {"custom_config": {"value": {"split_test": str(test), "split_test_pattern": "*.csv"}}}
        tested = DataSource.from_properties(
            {"input_base": str(tmp_path), "input_config": config, "custom_config": json.dumps(options)}
        )
        assert str(tested) == f"{tmp_path}/*.csv, tested on {test}"
        assert tested.test_files() == [str(tmp_path / "test" / name) for name in files]
    query = DataSource.from_properties({"input_config": '{"splits": [{"pattern": "SELECT 1"}]}'})
    assert (str(query), query.files()) == ("SELECT 1", [])
    assert str(DataSource.from_properties({"input_base": "/data"})) == "/data"


def test_a_training_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_training(tmp_path) is None
    record = TrainingRecord("mirrored", 1, 2, 1600, None, 0.02, "/logs")
    write(tmp_path, TRAINING_FILE, record.to_json().encode())
    assert read_training(tmp_path) == record
    rows = [{"step": 10, "loss": 0.5, "val_loss": 0.25}, {"step": 20, "loss": 0.375, "val_loss": 0.125}]
    write(tmp_path, HISTORY_FILE, format_history(rows).encode())
    assert read_history(tmp_path) == (Curve("loss", (10, 20), (0.5, 0.375), (0.25, 0.125)),)
    write(tmp_path, HISTORY_FILE, format_history([]).encode())
    assert read_history(tmp_path) == ()


def test_trials_come_best_first_and_failed_ones_last(tmp_path: Path) -> None:
    write(
        tmp_path,
        TRIALS_FILE,
        b'[{"trial_id": "0", "score": null, "units": 1}, {"trial_id": "1", "score": 0.5, "units": 2},'
        b' {"trial_id": "2", "score": 0.25, "units": 3}, {"trial_id": "3", "score": NaN, "units": 4}]',
    )
    trials = read_trials(tmp_path)
    assert [(each.id, each.score) for each in trials] == [("2", 0.25), ("1", 0.5), ("0", None), ("3", None)]
    assert trials[0] == Trial("2", 0.25, {"units": 3})
    assert trials[0].to_dict() == {"trial_id": "2", "score": 0.25, "units": 3}


@pytest.mark.parametrize("skew", [None, Skew("predictions", "serve_raw", "scores", 3, "[0.5]", "[0.25]")])
def test_a_skew_report_is_read_as_it_was_written(skew: Skew | None, tmp_path: Path) -> None:
    report = SkewReport(77, {"serve_raw": 385}, 1e-7, "g", {"v": "d"}, {"load_seconds": 1.5}, skew)
    write(tmp_path, REPORT_FILE, report.to_json().encode())
    assert read_skew_report(tmp_path) == report


def test_a_tflite_report_is_read_as_it_was_written_but_for_numbers_that_json_lacks(tmp_path: Path) -> None:
    write(tmp_path, REPORT_FILE, REPORT.to_json().encode())
    undefined = dataclasses.replace(REPORT.bounds[0], value=None)
    assert read_tflite_report(tmp_path) == dataclasses.replace(
        REPORT, tflite=None, loss=None, operators=["ADD", "MUL"], bounds=(undefined, REPORT.bounds[1])
    )
    assert [each.ok for each in REPORT.bounds] == [False, True]


@pytest.mark.parametrize("content", [b"{}", b'{"bounds": [{"metric": "auc"}]}', b'{"bounds": []}'])
def test_a_tflite_report_needs_its_figures(content: bytes, tmp_path: Path) -> None:
    write(tmp_path, REPORT_FILE, content)
    with pytest.raises(ValueError, match=r"report\.json: found no .*; expected "):
        read_tflite_report(tmp_path)


def test_pushes_and_blessings_are_read_from_properties() -> None:
    properties = {"pushed": 1, "pushed_version": "7", "pushed_destination": "/serving/7"}
    assert read_push(properties) == Push("7", "/serving/7", None)
    assert read_push({**properties, "pushed_tflite": "/tflite/7/model.tflite"}) == Push(
        "7", "/serving/7", "/tflite/7/model.tflite"
    )
    assert read_push({"pushed": 0}) is None
    assert read_push({}) is None
    assert read_blessing({"blessed": 1, "reason": ""}) == Blessing(True, None)
    assert read_blessing({"blessed": 0, "reason": "loss is 3"}) == Blessing(False, "loss is 3")
    assert read_blessing({}) == Blessing(False, None)
