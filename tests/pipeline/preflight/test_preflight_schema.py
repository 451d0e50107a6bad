import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tiny_problem import SCHEMA, settings_file

from custom_components.shared.label_rows import LabelRows
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config
from pipeline.preflight.labels import label_rows
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
        ("features.crossed", "{a b: {columns: [hour, company, payment], buckets: 2}}"),
        ("features.missing", "{fare: {}, hour: {}, company: {}}"),
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
        ({"features.crossed.a b": "{columns: [hour, pament], buckets: 9}"}, "features.crossed.a b", "payment"),
        ({"features.ratio.each": "{numerator: fare, denominator: mile}"}, "features.ratio.each", "miles"),
        ({"features.difference.gap": "{of: fare, minus: second}"}, "features.difference.gap", "seconds"),
        ({"features.missing.fair": "{}"}, "features.missing.fair", "fare"),
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
        ("ratio", "x", "{numerator: fare, denominator: company}", "BYTES", "INT or FLOAT"),
        ("difference", "x", "{of: company, minus: fare}", "BYTES", "INT or FLOAT"),
    ],
)
def test_column_type_has_to_fit_its_kind(
    tmp_path: Path, kind: str, column: str, value: str, found: str, needed: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {f"features.{kind}.{column}": value})
    key = f"{tmp_path / 'tiny.yaml'}: features.{kind}.{column}"
    assert str(error.value) == f"{key}: the schema has type {found}; {kind} needs {needed}"


def test_a_float_enters_a_cross_by_its_buckets(tmp_path: Path) -> None:
    crossed = {"features.crossed.a b": "{columns: [hour, fare], buckets: 9}"}
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, crossed)
    assert str(error.value) == (
        f"{tmp_path / 'tiny.yaml'}: features.crossed.a b: the schema has type FLOAT for 'fare'; a cross needs INT or "
        "BYTES, or the buckets of a number: add features.bucketed.fare"
    )
    check_schema(tmp_path, {**crossed, "features.bucketed.fare": "{buckets: 5}"})


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
        (b"feature { struct_domain {" * 5_000, "recursion"),
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


# As "make schema" drafts columns of 0 and 1, and of true and false.
DRAFTED = """
feature { name: "flag" type: INT presence { min_fraction: 1 } bool_domain {} }
feature { name: "paid" type: BYTES presence { min_fraction: 1 }
          bool_domain { true_value: "true" false_value: "false" } }
"""


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("binary", "{name: y, column: answer}"),
        ("multiclass", "{name: y, column: colour, classes: [red, green, blue]}"),
        ("binary", "{name: y, column: flag}"),
        ("binary", "{name: y, column: flag, classes: ['1', '0']}"),
        ("binary", "{name: y, column: paid, classes: ['false', 'true']}"),
        ("regression", "{name: y, column: tips}"),
    ],
)
def test_label_with_a_domain_of_its_classes_passes(tmp_path: Path, task: str, label: str) -> None:
    metric = "mse" if task == "regression" else "accuracy"
    evaluation = {"evaluation.metrics": f"[{metric}]", "evaluation.thresholds.0.metric": metric}
    check_schema(tmp_path, {"task": task, "label": label, **evaluation}, (SCHEMA + DRAFTED).encode())


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("{name: y, column: colour, above: {value: 3}}", "has type BYTES for 'colour'; expected INT or FLOAT"),
        ("{name: y, column: colour}", "has type BYTES for 'colour'; expected INT"),
        (
            "{name: y, column: tips, classes: [a, b]}",
            "found the class 'a', which is not a number; the schema has type FLOAT",
        ),
    ],
)
def test_label_with_unfit_values_is_refused(tmp_path: Path, label: str, found: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {"label": label})
    assert found in str(error.value)


@pytest.mark.parametrize("name", ["Île", "trip miles", "a/b", ":x", "_x", "1st", "class", "self", "a" * 129, "Miles"])
def test_column_can_have_any_name(tmp_path: Path, name: str) -> None:
    schema = SCHEMA + f'feature {{ name: "{name}" type: FLOAT }}'
    check_schema(tmp_path, {"features.dense": f"{{miles: {{}}, '{name}': {{}}}}"}, schema.encode())


@pytest.mark.parametrize(("name", "reason"), [("a\0b", r"'a\\x00b'; "), ("", "''; ")])
def test_column_without_a_usable_name_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    schema = SCHEMA + f'feature {{ name: "{name}" type: FLOAT }}'
    with pytest.raises(ConfigError, match=f"features: found the column {reason}"):
        check_schema(tmp_path, {"features.dense": json.dumps({name: {}})}, schema.encode())


def test_key_with_a_dot_is_quoted_in_options_and_errors(tmp_path: Path) -> None:
    key = 'features.vocabulary."trip.miles"'
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {key: "{}"}, (SCHEMA + 'feature { name: "trip.miles" type: FLOAT }').encode())
    assert (
        str(error.value) == f"{tmp_path / 'tiny.yaml'}: {key}: the schema has type FLOAT; vocabulary needs INT or BYTES"
    )


SLICED = """
feature { name: "low" type: INT int_domain { min: -5 max: 0 } }
feature { name: "open" type: INT int_domain { min: 1 } }
feature { name: "share" type: FLOAT float_domain { max: 1 } }
feature { name: "zip" type: BYTES string_domain { value: "02134" value: "2134" value: "10001" value: "n.a." } }
feature { name: "loose" type: BYTES string_domain { value: "a" }
          distribution_constraints { min_domain_mass: 0.9 } }
feature { name: "flag" type: INT bool_domain {} }
feature { name: "paid" type: BYTES bool_domain { true_value: "true" false_value: "false" } }
feature { name: "tags" type: BYTES value_count { min: 1 } }
"""


def check_slice(folder: Path, column: str, value: str) -> None:
    overrides = {
        "evaluation.slices": f"[[{column}]]",
        "evaluation.thresholds": (
            f"[{{metric: accuracy, min: 0.5}}, {{metric: accuracy, slice: {{{column}: {value}}}, min: 0.1}}]"
        ),
    }
    check_schema(folder, overrides, (SCHEMA + SLICED).encode())


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("hour", "99", "found 99; the schema allows 0 to 23"),
        ("low", "1", "found 1; the schema allows -5 to 0"),
        ("open", "0", "found 0; the schema allows at least 1"),
        ("share", "1.5", "found 1.5; the schema allows at most 1.0"),
        ("flag", "2", "unknown value '2'; allowed: 0, 1"),
        ("paid", "'no'", "unknown value 'no'; allowed: false, true"),
        ("hour", "'8'", "found '8' (str); the schema has type INT; expected an integer of 64 bits, without quotes"),
        ("hour", "08", "found '08' (str); the schema has type INT"),
        ("hour", "8.0", "found 8.0 (float); the schema has type INT"),
        ("open", f"1{'0' * 30}", "(int); the schema has type INT"),
        ("fare", "'1'", "found '1' (str); the schema has type FLOAT; expected a number that float32 can hold"),
        ("fare", "16777217", "found 16777217 (int); the schema has type FLOAT"),
        ("fare", "1e39", "found 1e+39 (float); the schema has type FLOAT"),
        ("zip", "10001", "found 10001 (int); the schema has type BYTES; expected text: write it in quotes"),
        ("zip", "02134", "found '02134', which TFMA reads as the number 2134, like '2134' in the column's domain"),
        ("company", "'7'", "found '7', which TFMA reads as the number 7, like every other text with that number"),
        ("loose", "'7.50'", "found '7.50', which TFMA reads as the number 7.5, like every other text"),
    ],
)
def test_slice_that_has_no_rows_or_is_another_to_tfma_is_refused(
    tmp_path: Path, column: str, value: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_slice(tmp_path, column, value)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'tiny.yaml'}: evaluation.thresholds.1.slice.{column}: ")
    assert reason in line


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[("low", "0"), ("low", "-5"), ("open", "1"), ("share", "1"), ("share", "0.1"), ("fare", "16777216")],
        *[("zip", "'10001'"), ("zip", "n.a."), ("company", "Taxi 7"), ("company", "1e5x"), ("loose", "b")],
        *[("flag", "1"), ("paid", "'true'"), ("tags", "a")],
    ],
)
def test_slice_of_the_columns_type_passes(tmp_path: Path, column: str, value: str) -> None:
    check_slice(tmp_path, column, value)


@pytest.mark.parametrize("count", ["value_count { min: 1 }", "value_count { min: 2 max: 2 }", "value_counts {}"])
@pytest.mark.parametrize(
    ("key", "value"), [("features.dense", "{many: {}}"), ("label", "{name: y, column: many, above: {value: 3}}")]
)
def test_lists_as_features_or_labels_are_refused(tmp_path: Path, key: str, value: str, count: str) -> None:
    schema = f'{SCHEMA} feature {{ name: "many" type: INT presence {{ min_fraction: 1 }} {count} }}'
    with pytest.raises(ConfigError, match=f"{key}[a-z.]*: the schema allows lists in 'many'; expected a column with"):
        check_schema(tmp_path, {key: value}, schema.encode())
    check_schema(tmp_path, {key: value}, schema.replace(count, "value_count { min: 1 max: 1 }").encode())


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("{name: y, column: colour, classes: [red, green]}", "limits 'colour' to red, blue"),
        ("{name: y, column: answer, classes: ['1', '2']}", "limits 'answer' to 0 to 1"),
        ("{name: y, column: paid, classes: ['no', 'yes']}", "limits 'paid' to false, true"),
    ],
)
def test_label_with_a_domain_of_other_values_is_refused(tmp_path: Path, label: str, found: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_schema(tmp_path, {"label": label}, (SCHEMA + DRAFTED).encode())
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'tiny.yaml'}: label.column: the schema {found}; expected a domain with ")
    assert "\n" not in line


MOSTLY = """
feature { name: "mostly" type: BYTES presence { min_fraction: 1 } string_domain { value: "a" value: "b" }
          distribution_constraints { min_domain_mass: 0.9 } }
"""


@pytest.mark.parametrize(
    ("label", "rows"),
    [
        ("{name: y, column: tips, above: {value: 3}}", LabelRows("tips")),
        ("{name: y, column: miles, above: {value: 3}}", LabelRows("miles", undefined=("miles",))),
        (
            "{name: y, column: tips, above: {fraction: 1, of: seconds}}",
            LabelRows("tips", absent=("seconds",)),
        ),
        ("{name: y, column: answer}", LabelRows("answer")),
        ("{name: y, column: flag, classes: [0, 1]}", LabelRows("flag")),
        ("{name: y, column: grade}", LabelRows("grade", classes=("0", "1"))),
        ("{name: y, column: hour, classes: [8, 9]}", LabelRows("hour", classes=("8", "9"), absent=("hour",))),
        ("{name: y, column: company, classes: [a, b]}", LabelRows("company", classes=("a", "b"))),
        ("{name: y, column: mostly, classes: [a, b]}", LabelRows("mostly", classes=("a", "b"))),
        ("{name: y, column: tips, classes: [0, 1]}", LabelRows("tips", classes=("0", "1"))),
        ("{name: y, column: miles}", LabelRows("miles", classes=("0", "1"), undefined=("miles",))),
    ],
)
def test_the_schema_decides_which_rows_are_left_out_and_the_classes_limit_what_it_does_not(
    tmp_path: Path, label: str, rows: LabelRows
) -> None:
    path = settings_file(tmp_path, (SCHEMA + DRAFTED + MOSTLY).encode())
    config = load_config(path, {"label": label})
    schema = load_schema(config, path)
    check_against_schema(config, schema, path)
    assert label_rows(config, schema) == rows


def test_feature_with_a_shape_is_refused(tmp_path: Path) -> None:
    """Its column could not have missing values: TensorFlow would reject the complete request."""
    shaped = SCHEMA.replace('name: "fare"', 'name: "fare" shape { dim { size: 1 } }')
    assert shaped != SCHEMA
    with pytest.raises(ConfigError, match="feature 'fare' has a shape"):
        check_schema(tmp_path, {}, shaped.encode())
