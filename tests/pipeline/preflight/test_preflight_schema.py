from collections.abc import Mapping
from pathlib import Path

import pytest
from tiny_problem import SCHEMA, settings_file

from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config
from pipeline.preflight.schema import check_against_schema, load_schema


def check_schema(folder: Path, overrides: Mapping[str, str], schema: bytes | None = SCHEMA.encode()) -> None:
    path = settings_file(folder, schema)
    config = load_config(path, overrides)
    check_against_schema(config, load_schema(config, path), path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.steps", "1"),
        ("features.dense.hour", "{}"),
        ("features.hashed", "{hour: {buckets: 2}, company: {buckets: 2}}"),
        ("data.split_key", "company"),
        ("evaluation.thresholds", "[{metric: accuracy, min: 0}, {metric: accuracy, min: 0, slice: {payment: card}}]"),
        ("evaluation.thresholds", "[{metric: accuracy, min: 0}, {metric: accuracy, min: 0, slice: {hour: 3}}]"),
    ],
)
def test_matching_settings_pass(tmp_path: Path, key: str, value: str) -> None:
    check_schema(tmp_path, {key: value})


@pytest.mark.parametrize(
    ("overrides", "key", "nearest"),
    [
        ({"features.dense.fair": "{}"}, "features.dense.fair", "fare"),
        ({"features.cyclical.hours": "{period: 24}"}, "features.cyclical.hours", "hour"),
        ({"label.column": "tip"}, "label.column", "tips"),
        ({"label.above.of": "fair"}, "label.above.of", "fare"),
        ({"data.split_key": "compny"}, "data.split_key", "company"),
        ({"evaluation.slices": "[[payment], [payment, hours]]"}, "evaluation.slices.1", "hour"),
    ],
)
def test_missing_column_is_reported_with_the_nearest(
    tmp_path: Path, overrides: dict[str, str], key: str, nearest: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, overrides)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'tiny.yaml'}: {key}: unknown column of schema.pbtxt ")
    assert "allowed: answer, colour, company, fare, grade, hour, miles, payment, seconds, tips; " in line
    assert line.endswith(f"did you mean '{nearest}'?")


@pytest.mark.parametrize(
    ("kind", "column", "value", "found", "needed"),
    [
        ("dense", "company", "{}", "BYTES", "INT or FLOAT"),
        ("bucketed", "company", "{buckets: 2}", "BYTES", "INT or FLOAT"),
        ("cyclical", "company", "{period: 2}", "BYTES", "INT or FLOAT"),
        ("integer", "fare", "{min: 0, max: 1}", "FLOAT", "INT"),
        ("integer", "company", "{min: 0, max: 1}", "BYTES", "INT"),
        ("vocabulary", "fare", "{}", "FLOAT", "INT or BYTES"),
        ("hashed", "fare", "{buckets: 2}", "FLOAT", "INT or BYTES"),
    ],
)
def test_column_type_has_to_fit_its_kind(
    tmp_path: Path, kind: str, column: str, value: str, found: str, needed: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {f"features.{kind}.{column}": value})
    key = f"{tmp_path / 'tiny.yaml'}: features.{kind}.{column}"
    assert str(error.value) == f"{key}: the schema has type {found}; {kind} needs {needed}"


@pytest.mark.parametrize(("column", "value", "nearest"), [("payment", "Card", "card"), ("colour", "bleu", "blue")])
def test_slice_value_outside_its_domain_is_refused(tmp_path: Path, column: str, value: str, nearest: str) -> None:
    sliced = f"{{metric: accuracy, slice: {{{column}: {value}}}, min: 0.1}}"
    overrides = {
        "evaluation.slices": f"[[{column}]]",
        "evaluation.thresholds": f"[{{metric: accuracy, min: 0.5}}, {sliced}]",
    }
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, overrides)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'tiny.yaml'}: evaluation.thresholds.1.slice.{column}: unknown value '{value}'")
    assert line.endswith(f"did you mean '{nearest}'?")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (None, "No such file"),
        (b'feature { nme: "tips" }', "nme"),
        (b'feature { name: "tips"', 'Expected "}"'),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_unreadable_schema_is_refused(tmp_path: Path, schema: bytes | None, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {}, schema)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'tiny.yaml'}: data.schema: {tmp_path / 'schema.pbtxt'}: ")
    assert reason in line
    assert "text proto" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("binary", "{name: y, column: answer}"),
        ("multiclass", "{name: y, column: colour, classes: [red, green, blue]}"),
        ("regression", "{name: y, column: tips}"),
    ],
)
def test_label_with_a_domain_of_its_classes_passes(tmp_path: Path, task: str, label: str) -> None:
    metric = "mse" if task == "regression" else "accuracy"
    evaluation = {"evaluation.metrics": f"[{metric}]", "evaluation.thresholds.0.metric": metric}
    check_schema(tmp_path, {"task": task, "label": label, **evaluation})


@pytest.mark.parametrize(
    ("label", "found"),
    [
        (
            "{name: y, column: seconds, above: {value: 3}}",
            "label.column: the schema allows missing values in 'seconds'",
        ),
        ("{name: y, column: miles, above: {value: 3}}", "label.column: the schema allows NaN in 'miles'"),
        (
            "{name: y, column: tips, above: {fraction: 1, of: seconds}}",
            "label.above.of: the schema allows missing values in 'seconds'",
        ),
        ("{name: y, column: colour, above: {value: 3}}", "has type BYTES for 'colour'; expected INT or FLOAT"),
        ("{name: y, column: colour}", "has type BYTES for 'colour'; expected INT"),
        ("{name: y, column: tips, classes: [a, b]}", "has type FLOAT for 'tips'; expected INT or BYTES"),
    ],
)
def test_label_with_missing_or_unfit_values_is_refused(tmp_path: Path, label: str, found: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {"label": label})
    assert found in str(error.value)


@pytest.mark.parametrize("name", ["Île", "trip miles", "a/b", ":x", "_x", "", "1st", "class"])
def test_column_that_cannot_name_a_tensorflow_input_is_refused(tmp_path: Path, name: str) -> None:
    schema = SCHEMA + f'feature {{ name: "{name}" type: FLOAT }}'
    with pytest.raises(ConfigError, match=f"found the column '{name}'; expected ASCII letters"):
        check_schema(tmp_path, {"features.dense": f"{{'{name}': {{}}}}"}, schema.encode())


def test_columns_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    schema = SCHEMA + 'feature { name: "Miles" type: FLOAT }'
    with pytest.raises(ConfigError, match="found the columns 'miles' and 'Miles'; expected names that differ"):
        check_schema(tmp_path, {"features.dense": "{miles: {}, Miles: {}}"}, schema.encode())


def test_slice_value_outside_its_range_is_refused(tmp_path: Path) -> None:
    sliced = "[{metric: accuracy, min: 0.5}, {metric: accuracy, slice: {hour: 99}, min: 0.1}]"
    with pytest.raises(ConfigError, match=r"slice\.hour: found 99; the schema allows 0 to 23"):
        check_schema(tmp_path, {"evaluation.thresholds": sliced})


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("{name: y, column: company, classes: [a, b]}", "does not limit 'company'"),
        ("{name: y, column: grade}", "does not limit 'grade'"),
        ("{name: y, column: colour, classes: [red, green]}", "limits 'colour' to red, blue"),
        ("{name: y, column: answer, classes: ['1', '2']}", "limits 'answer' to 0, 1"),
    ],
)
def test_label_without_a_domain_of_its_classes_is_refused(tmp_path: Path, label: str, found: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {"label": label})
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'tiny.yaml'}: label.column: the schema {found}; expected a domain with ")
    assert "\n" not in line


def test_feature_with_a_shape_is_refused(tmp_path: Path) -> None:
    """Its column could not have missing values: TensorFlow would reject the complete request."""
    shaped = SCHEMA.replace('name: "fare"', 'name: "fare" shape { dim { size: 1 } }')
    assert shaped != SCHEMA
    with pytest.raises(ConfigError, match="feature 'fare' has a shape"):
        check_schema(tmp_path, {}, shaped.encode())
