import copy
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.project import ROOT
from lineage.store.location import Sqlite
from pipeline.config.beam import Beam
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config, load_vertex_block, settings_path
from pipeline.config.renamed import RENAMED
from pipeline.config.settings import Splits, Threshold
from pipeline.preflight.schema import check_against_schema, load_schema

TAXI = ROOT / "configs/taxi.yaml"
ABSENT = object()
GAIN = {"better_than_trivial": 0.1}
MINIMAL = """
name: tiny
task: binary
label: {name: answer, column: y}
features: {dense: {x: {}}}
data: {path: table, schema: tiny.pbtxt}
evaluation: {metrics: [auc], thresholds: [{metric: auc, min: 0.5}]}
tuning: {enabled: false}
"""


def write(folder: Path, changes: Mapping[str, object]) -> Path:
    """Writes the taxi settings with some dotted keys changed, added or, if ``ABSENT``, removed."""
    values = yaml.safe_load(TAXI.read_text())
    for key, value in changes.items():
        *parents, last = key.split(".")
        here = values
        for part in parents:
            here = here[int(part) if isinstance(here, list) else part]
        if value is ABSENT:
            del here[last]
        else:
            here[int(last) if isinstance(here, list) else last] = value
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def refusal(path: Path, **arguments: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(path, **arguments)
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("key", "nearest", "sibling"),
    [
        ("traning", "training", "network"),
        ("training.step", "steps", "batch_size"),
        ("label.colum", "column", "classes"),
        ("label.above.fractoin", "fraction", "value"),
        ("features.densse", "dense", "cyclical"),
        ("features.dense.fare.logs", "log", "scale"),
        ("features.vocabulary.payment_type.topk", "top_k", "min_frequency"),
        ("data.splits.trian", "train", "validation"),
        ("network.functions", "function", "hyperparameters"),
        ("network.hyperparameters.droput", "dropout", "embedding_size"),
        ("tuning.trails", "trials", "algorithm"),
        ("tuning.search.hidden_unit", "hidden_units", "learning_rate"),
        ("tuning.search.dropout.vals", "values", "sampling"),
        ("evaluation.metric", "metrics", "slices"),
        ("evaluation.thresholds.1.mim", "min", "max_change"),
        ("beam.worker", "workers", "mode"),
    ],
)
def test_misspelled_key_is_reported_with_the_nearest_and_all_allowed_keys(
    tmp_path: Path, key: str, nearest: str, sibling: str
) -> None:
    path = write(tmp_path, {key: {"values": [1]} if key.startswith("tuning.search.h") else 1})
    line = refusal(path)
    assert line.startswith(f"{path}: {key}: unknown ")
    assert f"'{key.rpartition('.')[2]}'" in line
    assert f"did you mean '{nearest}'?" in line
    assert sibling in line.partition("allowed: ")[2]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_renamed_key_is_refused_with_its_new_name_and_the_new_name_is_accepted(
    tmp_path: Path, old: str, new: str
) -> None:
    blocks = {
        "vertex": {
            "endpoint": {"name": "rides", "image": "host/serving:1", "max_replicas": 9},
            "schedule": {"cron": "0 3 * * *"},
        },
        "dataflow": {},
        "skew_guard": {},
    }
    path = write(tmp_path, {**copy.deepcopy(blocks), old: 2})
    assert refusal(path) == f"{path}: {old}: renamed; use {new}"
    path = write(tmp_path, {**blocks, new: 2})
    config: Any = load_config(path)
    for part in new.split("."):
        config = getattr(config, part)
    assert config == 2
    assert refusal(path, overrides={old: "3"}) == f"--set: {old}: renamed; use {new}"


def test_renamed_key_is_refused_in_a_single_block(tmp_path: Path) -> None:
    path = write(tmp_path, {"vertex": {"endpoint": {"name": "rides", "most": 2}}})
    with pytest.raises(ConfigError) as error:
        load_vertex_block(path)
    assert str(error.value) == f"{path}: vertex.endpoint.most: renamed; use vertex.endpoint.max_replicas"


@pytest.mark.parametrize(
    ("key", "value", "found", "expected"),
    [
        ("training.steps", "many", "'many' (str)", "integer"),
        ("training.steps", "200", "'200' (str)", "integer"),
        ("training.steps", 1.5, "1.5 (float)", "integer"),
        ("training.steps", True, "True (bool)", "integer"),
        ("training.steps", None, "None (NoneType)", "integer"),
        ("training.steps", 0, "0 (int)", "greater than or equal to 1"),
        ("training", [1], "[1] (list)", "a mapping of keys"),
        ("name", 7, "7 (int)", "string"),
        ("name", "Taxi Trips", "'Taxi Trips' (str)", "^[a-z][a-z0-9_]*$"),
        ("features.dense.fare", None, "None (NoneType)", "a mapping of keys"),
        ("features.bucketed.fare.buckets", 1, "1 (int)", "greater than or equal to 2"),
        ("features.vocabulary.payment_type.top_k", "ten", "'ten' (str)", "integer"),
        ("features.cyclical.trip_start_day.period", 0, "0 (int)", "greater than 0"),
        ("features.cyclical.trip_start_day.period", math.nan, "nan (float)", "finite"),
        ("label.above.fraction", "a fifth", "'a fifth' (str)", "number"),
        ("data.path", 3, "3 (int)", "string"),
        ("data.splits.train", 0, "0 (int)", "greater than or equal to 1"),
        ("network.hyperparameters.dropout", 1.5, "1.5 (float)", "less than 1"),
        ("network.hyperparameters.hidden_layers", 1.5, "1.5 (float)", "integer"),
        ("tuning.enabled", 1, "1 (int)", "boolean"),
        ("tuning.search.dropout.values", 0.1, "0.1 (float)", "array"),
        ("evaluation.metrics", "auc", "'auc' (str)", "array"),
        ("evaluation.slices.0", "payment_type", "'payment_type' (str)", "array"),
        ("evaluation.thresholds.0.min", math.inf, "inf (float)", "finite"),
        ("evaluation.thresholds.3.slice.payment_type", True, "True (bool)", "string"),
        ("beam.workers", -1, "-1 (int)", "greater than or equal to 0"),
    ],
)
def test_invalid_value_is_reported_with_its_type_and_the_expected_one(
    tmp_path: Path, key: str, value: object, found: str, expected: str
) -> None:
    path = write(tmp_path, {key: value})
    line = refusal(path)
    assert line.startswith(f"{path}: {key}: found {found}; expected ")
    assert expected in line.partition("; expected ")[2]


@pytest.mark.parametrize(
    ("key", "value", "nearest", "allowed"),
    [
        ("task", "binry", "binary", "multiclass"),
        ("features.dense.fare.scale", "zscore", "z_score", "min_max"),
        ("tuning.algorithm", "bayes", "bayesian", "random"),
        ("tuning.search.learning_rate.sampling", "logs", "log", "linear"),
        ("beam.mode", "inmemory", "in_memory", "multi_threading"),
        ("evaluation.metrics.0", "acu", "auc", "calibration"),
        ("evaluation.thresholds.0.metric", "acu", "auc", "calibration"),
    ],
)
def test_unknown_choice_is_reported_with_the_nearest(
    tmp_path: Path, key: str, value: str, nearest: str, allowed: str
) -> None:
    path = write(tmp_path, {key: value})
    line = refusal(path)
    assert line.startswith(f"{path}: {key}: unknown ")
    assert f"'{value}'" in line
    assert f"did you mean '{nearest}'?" in line
    assert allowed in line.partition("allowed: ")[2]


@pytest.mark.parametrize(
    "key",
    [
        *("name", "task", "label", "label.column", "features", "features.bucketed.fare.buckets"),
        *("features.integer.trip_start_day.max", "data", "data.schema", "evaluation", "evaluation.metrics"),
        *("evaluation.thresholds", "evaluation.thresholds.2.metric"),
    ],
)
def test_missing_key_is_reported(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, {key: ABSENT})
    assert refusal(path).startswith(f"{path}: {key}: missing")


@pytest.mark.parametrize(
    ("changes", "key", "fragments"),
    [
        ({"features.integer.trip_start_day.min": 7}, "features.integer.trip_start_day", ["7 and 7", "below"]),
        ({"features.integer.trip_start_day.min": 9}, "features.integer.trip_start_day", ["9 and 7", "below"]),
        ({"tuning.search.learning_rate.min": 0.003}, "tuning.search.learning_rate", ["0.003 and 0.003", "below"]),
        ({"tuning.search.learning_rate.min": 0}, "tuning.search.learning_rate", ["above 0", "log", "found 0"]),
        ({"tuning.search.learning_rate.max": ABSENT}, "tuning.search.learning_rate", ["'min' and 'max'", "'values'"]),
        ({"tuning.search.dropout.min": 0, "tuning.search.dropout.max": 1}, "tuning.search.dropout", ["either"]),
        ({"tuning.search": {}}, "tuning.search", ["empty", "tuning.enabled"]),
        ({"evaluation.thresholds.0.min": 0.995}, "evaluation.thresholds.0", ["0.995 and 0.995", "below"]),
        ({"evaluation.thresholds.1.min": ABSENT}, "evaluation.thresholds.1", ["no bound", "'min_change'"]),
        ({"evaluation.thresholds.4.max_change": 0.1}, "evaluation.thresholds.4", ["'min_change' and 'max_change'"]),
        ({"evaluation.slices": [["trip_start_day"]]}, "evaluation.thresholds.3.slice", ["payment_type", "slices"]),
        ({"evaluation.thresholds": [{"metric": "auc", "min_change": 0}]}, "evaluation.thresholds", ["first run"]),
        (
            {"evaluation.thresholds": [{"metric": "auc", "min": 0.5, "slice": {"payment_type": "Cash"}}]},
            "evaluation.thresholds",
            ["over all rows"],
        ),
        ({"evaluation.metrics.1": "mse"}, "evaluation.metrics.1", ["unknown binary metric 'mse'", "pr_auc"]),
        ({"evaluation.metrics.1": "recall(rude)"}, "evaluation.metrics.1", ["'recall(rude)'", "ordinary, generous"]),
        ({"evaluation.metrics": ["auc", "f1(*)", "f1(generous)"]}, "evaluation.metrics", ["an entry twice"]),
        ({"evaluation.metrics.1": "expected_cost"}, "evaluation.cost_matrix", ["missing", "'expected_cost'"]),
        (
            {"evaluation.cost_matrix": [[0, 1], [1, 0]]},
            "evaluation.cost_matrix",
            ["without 'expected_cost' or 'optimal_cost'"],
        ),
        *[
            (
                {"evaluation.metrics.1": "expected_cost", "evaluation.cost_matrix": matrix},
                "evaluation.cost_matrix",
                [f"found {found} numbers; expected 2 rows of 2", "of predicting ordinary, generous"],
            )
            for matrix, found in (
                ([[0, 1, 1], [1, 0, 1]], "2 rows of 3"),
                ([[0, 1], [1, 0], [1, 1]], "3 rows of 2"),
                ([[0, 1], [1]], "2 rows of 1 or 2"),
                ([], "0 rows of no"),
            )
        ],
        (
            {"evaluation.metrics": ["auc", "recall"], "evaluation.thresholds.1": {"metric": "recall", **GAIN}},
            "evaluation.thresholds.1.better_than_trivial",
            ["found 'recall'; expected one of auc"],
        ),
        (
            {"evaluation.metrics": ["recall"], "evaluation.thresholds": [{"metric": "recall", **GAIN}]},
            "evaluation.thresholds.0.better_than_trivial",
            ["found 'recall'; expected another metric, such as accuracy, loss or mse"],
        ),
        ({"features": {}}, "features", ["found none; expected at least one"]),
        ({"features.dense.tips": {}}, "features.dense.tips", ["'tips'", "label"]),
        (
            {"features.difference": {"a": {"of": "fare", "minus": "tips"}}},
            "features.difference.a",
            ["found 'tips', the column of the label"],
        ),
        (
            {"features.crossed": {"a.b": {"columns": ["dropoff_census_tract", "company", "trip_start_hour"]}}},
            'features.crossed."a.b"',
            ["401 x 101 x 26 = 1,053,026 combinations", "at most 100,000", "hash them with 'buckets'"],
        ),
        (
            {"features.crossed": {"a": {"columns": ["payment_type", "trip_start_hour"]}}},
            "features.crossed.a",
            ["the vocabulary", "'payment_type'", "'top_k'", "'buckets'"],
        ),
        ({"features.ratio": {"": {"numerator": "fare", "denominator": "trip_miles"}}}, 'features.ratio.""', ["1"]),
        ({"label.classes": ["a", "b", "c"]}, "label.classes", ["found 3", "binary", "two"]),
        ({"label.classes": ["a"]}, "label.classes", ["['a']", "2"]),
        ({"label.classes": ["a", "a"]}, "label.classes", ["duplicate name"]),
        ({"label.above": {}}, "label.above", ["'value'", "'fraction'", "'of'"]),
        ({"label.above.value": 1.0}, "label.above", ["either"]),
        ({"label.above.of": ABSENT}, "label.above", ["together with 'of'"]),
        ({"task": "multiclass"}, "label.above", ["binary", "'multiclass'"]),
        ({"task": "multiclass", "label.classes": ABSENT}, "label.classes", ["missing", "multiclass"]),
        ({"task": "regression"}, "label", ["regression", "'classes'", "'above'"]),
    ],
)
def test_contradictory_settings_are_refused(
    tmp_path: Path, changes: dict[str, object], key: str, fragments: list[str]
) -> None:
    path = write(tmp_path, changes)
    line = refusal(path)
    assert line.startswith(f"{path}: {key}: ")
    assert [fragment for fragment in fragments if fragment not in line] == []


def test_first_error_is_reported_with_the_number_of_others(tmp_path: Path) -> None:
    path = write(tmp_path, {"training.steps": 0, "training.seed": -1, "beam.workers": -1})
    assert refusal(path).endswith("(and 2 more)")


def test_misspelled_key_is_reported_before_the_missing_one(tmp_path: Path) -> None:
    path = write(tmp_path, {"label.column": ABSENT, "label.colunm": "tips"})
    assert refusal(path).startswith(f"{path}: label.colunm: unknown key 'colunm'")


@pytest.mark.parametrize(
    ("key", "text", "fragments"),
    [
        ("training.step", "3", ["unknown key 'step'", "did you mean 'steps'?"]),
        ("training.steps", "many", ["'many' (str)", "integer"]),
        ("training.steps", "[1", ["'[1'", "a YAML value"]),
        ("training.steps.more", "3", ["found no 'more' in 'training.steps'"]),
        ("evaluation.thresholds.0.min", "high", ["'high' (str)", "number"]),
        ("evaluation.metrics.0", "acu", ["unknown binary metric 'acu'", "did you mean 'auc'?"]),
        ("network.hyperparameters.droput", "0.3", ["'droput'", "did you mean 'dropout'?"]),
    ],
)
def test_invalid_override_is_reported_with_option_and_key(key: str, text: str, fragments: list[str]) -> None:
    line = refusal(TAXI, overrides={key: text})
    assert line.startswith("--set")
    assert line.removeprefix("--set").lstrip(": ").startswith(f"{key}: ")
    assert [fragment for fragment in fragments if fragment not in line] == []


@pytest.mark.parametrize(
    "overrides",
    [{"training": "{step: 3}"}, {"label.column": "fare"}, {"evaluation.thresholds.0.min": "0.999"}, {"network": "3"}],
)
def test_error_of_an_override_names_the_option(overrides: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^--set: "):
        load_config(ROOT / "configs/taxi.yaml", overrides)


@pytest.mark.parametrize("place", ["", "gs://bucket/folder", "a[1]", "what?"])
@pytest.mark.parametrize("option", ["data", "output"])
def test_path_that_is_not_a_local_folder_is_refused(option: str, place: str) -> None:
    places = {"data": None, "output": None, option: place}
    with pytest.raises(ConfigError, match=f"^--{option}: found "):
        load_config(TAXI, data=places["data"], output=places["output"])


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        (
            "data.splits.eval",
            "99999999999999999999",
            "data.splits.eval: found 99999999999999999999 (int); expected less",
        ),
        ("beam.workers", "1000000", "beam.workers: found 1000000"),
        *[
            (key, f"1{'0' * 30}", f"{key}: found 1{'0' * 30} (int); expected less than or equal to ")
            for key in (
                *("training.steps", "training.evaluate_every", "training.checkpoint_every", "training.patience"),
                *("training.seed", "training.shuffle_rows", "tuning.steps", "tuning.trials", "data.span"),
                *("data.split_seed", "skew_guard.max_examples", "skew_guard.max_seconds", "skew_guard.max_megabytes"),
                *("tflite.max_examples", "features.integer.trip_start_day.max"),
                *(f"features.vocabulary.payment_type.{name}" for name in ("top_k", "min_frequency", "oov_buckets")),
            )
        ],
        ("name", "a" * 300, f"name: found '{'a' * 56}... (str); expected text of at most 128 characters"),
        ("label.name", "a" * 300, "label.name: found 'aaa"),
        ("label.column", "2024", "label.column: found 2024 (int); expected a valid string: write it in quotes"),
        ("data.split_key", "true", "data.split_key: found True (bool); expected a valid string: write it in quotes"),
        ("data.path", "[x]", "data.path: found ['x'] (list); expected a valid string"),
        ("label.name", "''", "label.name: found '' (str); expected text of at least 1 character"),
        ("training.steps", "2000000000", "training: found 2000000000 'steps' with a checkpoint or an evaluation every"),
        ("tuning.steps", "2000000000", "tuning: found 2000000000 'steps' with"),
        ("training.batch_size", "99999999999", "training.batch_size: found"),
        ("evaluation.metrics", "[]", "expected a list with at least 1 item"),
        ("tuning.search.dropout", "{min: 5, max: 9}", "tuning.search.dropout: found 5"),
        ("tuning.search.dropout", "{values: [x]}", "tuning.search.dropout: found 'x'"),
        ("evaluation.metrics", "[auc, accuracy, calibration, auc]", "evaluation.metrics: found an entry twice"),
        ("evaluation.slices", "[[payment_type], [payment_type]]", "evaluation.slices: found an entry twice"),
        ("evaluation.slices", "[[]]", "evaluation.slices.0: "),
        ("label.above.of", "tips", "label.above.of: found 'tips'"),
        ("data.pattern", "/x.csv", "data.pattern: found '/x.csv'; expected a path within the folder"),
        ("data.pattern", "'*.txt'", "data.pattern: found '*.txt', whose extension names no format"),
        ("data.pattern", "v{VERSION}/a.csv", "data.pattern: found {VERSION} without {SPAN}"),
        (
            "data.format",
            "cvs",
            "data.format: unknown value 'cvs'; allowed: csv, parquet, tfrecord; did you mean 'csv'?",
        ),
        (
            "data.split_gap",
            "7 days",
            "data.split_gap: found '7 days'; expected a number of 0 or more in the unit of the",
        ),
        ("data.split_gap", "-1", "data.split_gap: found '-1'; expected a number of 0 or more"),
        ("data.split_gap", "7d", "data: found 'split_gap' 7d without 'split_time'; expected both, or no gap"),
        (
            "data.test_path",
            "gs://bucket/test.csv",
            "data.test_path: found 'gs://bucket/test.csv'; expected a folder on",
        ),
        ("data.span", "3", "data.span: found 3, but no {SPAN} in the pattern '*.csv'"),
        ("network.hyperparameters.dropout", "[1]", "expected a valid boolean or a valid integer"),
    ],
)
def test_value_that_conflicts_with_another_setting_is_refused(key: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(ROOT / "configs/taxi.yaml", {key: text})
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            {"split_time": "day", "split_column": "set"},
            "found both 'split_time' and 'split_column'; expected at most one",
        ),
        ({"split_time": "day", "test_path": "t.csv"}, "found both 'split_time' and 'test_path'; expected at most one"),
        (
            {"split_column": "set", "test_path": "t.csv"},
            "found both 'split_column' and 'test_path'; expected at most one",
        ),
        (
            {"split_time": "day", "split_key": "company"},
            "found both 'split_key' and 'split_time'; expected at most one",
        ),
        (
            {"split_time": "day", "path": "''", "bigquery": "{query: SELECT 1}"},
            "found 'split_time' with 'bigquery'; expected a table of files, or split_key",
        ),
    ],
)
def test_settings_that_exclude_each_other_are_refused(given: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(ROOT / "configs/taxi.yaml", {f"data.{key}": text for key, text in given.items()})
    assert f"--set: data: {reason}" in str(error.value)


def test_error_of_the_file_names_the_file_despite_an_override(tmp_path: Path) -> None:
    path = write(tmp_path, {"training.steps": 0})
    assert refusal(path, overrides={"training.seed": "1"}).startswith(f"{path}: training.steps: ")


def test_overrides_replace_settings_and_defaults() -> None:
    config = load_config(TAXI, {"training.steps": "200", "training.seed": "5", "evaluation.thresholds.0.min": "0.9"})
    assert (config.training.steps, config.training.seed) == (200, 5)
    assert config.evaluation.thresholds[0] == Threshold(metric="auc", min=0.9, max=0.995)


@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
def test_tuning_option_overrides_the_file(tmp_path: Path, in_file: bool, asked: bool | None) -> None:
    path = write(tmp_path, {"tuning.enabled": in_file})
    assert load_config(path, tune=asked).tuning.enabled is (in_file if asked is None else asked)


def test_tuning_without_a_search_space_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"tuning.enabled": False, "tuning.search": {}})
    load_config(path)
    assert "tuning.search: empty" in refusal(path, tune=True)


@pytest.mark.parametrize("name", ["x" * 5000, f"{'x/' * 2500}y"])
def test_settings_file_with_a_long_path_is_reported_in_a_short_line(name: str) -> None:
    line = refusal(settings_path(name))
    assert line.startswith("x")
    assert "...: File name too long; expected a YAML file" in line
    assert len(line) < 300


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_settings_file_in_an_unreadable_folder_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0)
    assert "Permission denied; expected a YAML file" in refusal(settings_path(str(folder / "taxi.yaml")))


def test_paths_of_the_file_are_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(TAXI, {"output": "elsewhere/taxi"})
    assert config.data.path == str(ROOT / "data/taxi")
    assert config.data.schema == str(ROOT / "schema/taxi/schema.pbtxt")
    assert config.output == str(ROOT / "elsewhere/taxi")
    assert load_config(TAXI).output == str(ROOT / "output/taxi")


@pytest.mark.parametrize("absolute", [True, False])
def test_paths_of_the_command_line_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    prefix = "/given/" if absolute else ""
    config = load_config(TAXI, {"output": "ignored"}, data=f"{prefix}table", output=f"{prefix}out")
    folder = Path("/given") if absolute else tmp_path
    assert config.data.path == str(folder / "table")
    assert config.output == str(folder / "out")
    assert config.artifacts_dir == str(folder / "out/artifacts")
    assert config.serving_dir == str(folder / "out/serving/taxi")
    assert config.store == Sqlite(folder / "out/metadata.db")


def test_missing_settings_get_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(MINIMAL)
    config = load_config(path)
    assert config.data.splits == Splits(train=7, validation=1, eval=2)
    assert (config.data.pattern, config.data.split_key, config.data.split_seed) == ("*.csv", None, 0)
    assert config.network.function == "models.network.build_network"
    assert config.beam == Beam(mode="auto", workers=0)
    assert config.features.dense["x"].scale == "z_score"
    assert config.problem.class_names == ("0", "1")
    assert config.evaluation.thresholds[0].slice == {}
    assert config.output == str(ROOT / "output/tiny")


def test_own_network_may_have_any_hyperparameters(tmp_path: Path) -> None:
    changes: dict[str, object] = {
        "network.function": "mine.build",
        "network.hyperparameters": {"width": 3, "activation": "relu"},
        "tuning.search": {"width": {"values": [1, 2]}},
    }
    assert load_config(write(tmp_path, changes)).network.hyperparameters == {"width": 3, "activation": "relu"}
    line = refusal(write(tmp_path, {**changes, "tuning.search": {"widht": {"values": [1, 2]}}}))
    assert "tuning.search.widht: unknown hyperparameter 'widht'; allowed: activation, width" in line


def keys(node: yaml.Node | None, parent: str = "") -> Iterator[tuple[str, int, frozenset[str]]]:
    """Dotted path, position in the text and siblings of every key."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from keys(item, f"{parent}{index}.")
    elif isinstance(node, yaml.MappingNode):
        siblings = frozenset(key.value for key, _ in node.value)
        for key, value in node.value:
            yield parent + key.value, key.start_mark.index, siblings
            yield from keys(value, f"{parent}{key.value}.")


TEXT = TAXI.read_text()
SCHEMA = load_schema(load_config(TAXI), TAXI)


@st.composite
def typos(draw: st.DrawFn) -> tuple[str, str, str]:
    """The text of the taxi settings with a typo in one key, the key's parent, and the typo."""
    key, start, siblings = draw(st.sampled_from(sorted(keys(yaml.compose(TEXT)), key=lambda each: each[1])))
    parent, _, name = key.rpartition(".")
    at = draw(st.integers(0, len(name)))
    letter = draw(st.sampled_from([*"abcdefghijklmnopqrstuvwxyz_", ""]))
    typo = name[:at] + letter + name[at + draw(st.integers(0, 1)) :]
    assume(typo not in siblings and isinstance(yaml.safe_load(typo), str))
    return TEXT[:start] + typo + TEXT[start + len(name) :], parent, typo


@settings(max_examples=100, deadline=None)
@given(typos())
def test_any_typo_in_any_key_is_reported(tmp_path_factory: pytest.TempPathFactory, made: tuple[str, str, str]) -> None:
    text, parent, typo = made
    path = tmp_path_factory.getbasetemp() / "typo.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        check_against_schema(load_config(path), SCHEMA, path)
    line = str(error.value)
    assert line.startswith(f"{path}: {parent}")
    assert f"'{typo}'" in line
    assert "\n" not in line
