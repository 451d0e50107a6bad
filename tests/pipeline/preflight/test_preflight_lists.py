"""Checks of texts and lists before a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tiny_problem import SCHEMA, settings_file

from pipeline.config.errors import ConfigError, UserError
from pipeline.config.loading import load_config
from pipeline.preflight.preflight import CheckedInputs, preflight

LISTS = """
feature { name: "note" type: BYTES value_count { max: 1 } }
feature { name: "likes" type: BYTES value_count { min: 1 } }
feature { name: "marks" type: INT value_count { min: 1 max: 9 } }
feature { name: "plain" type: INT value_count { max: 1 } }
"""
SEVERAL = "{max_length: 2, separator: '|'}"


def check(folder: Path, overrides: dict[str, str], column: str = "note", values: Sequence[Any] = ()) -> CheckedInputs:
    """Checks a table of 30 rows whose last ones have the given values: CSV for texts, else Parquet."""
    (folder / "table").mkdir(exist_ok=True)
    values = [None] * (30 - len(values)) + list(values)
    columns = {"tips": [float(index) for index in range(30)], "fare": [10.0] * 30, "payment": ["cash"] * 30}
    table = pa.table({**columns, column: pa.array(values)})
    is_csv = all(value is None or isinstance(value, str) for value in values)
    if is_csv:
        pyarrow.csv.write_csv(table, folder / "table/a.csv")
    else:
        pq.write_table(table, folder / "table/a.parquet")
    path = settings_file(folder, (SCHEMA + LISTS).encode())
    given = {
        "data.pattern": "'*.csv'" if is_csv else "'*.parquet'",
        "data.splits": "{train: 1, validation: 1, eval: 1}",
    }
    config = load_config(path, {"tflite.enabled": "false"} | given | overrides, data=str(folder / "table"))
    return preflight(config, path)


@pytest.mark.parametrize(
    ("kind", "column", "options", "values"),
    [
        ("text", "note", "{}", ["nice", "ça va"]),
        ("tags", "note", SEVERAL, ["a|b", "a", ""]),
        ("tags", "note", "{max_length: 2, separator: '|', cut: true}", ["a|b|c|d"]),
        ("numbers", "note", SEVERAL, ["1|-2.5e3", " 4 |", "|.5"]),
        ("tags", "likes", "{max_length: 3}", [["a", "b", "c"], []]),
        ("tags", "marks", "{max_length: 2, cut: true}", [[1, 2, 3]]),
        ("numbers", "marks", "{max_length: 3}", [[1, 2, 3]]),
    ],
)
def test_texts_and_lists_pass(tmp_path: Path, kind: str, column: str, options: str, values: list[Any]) -> None:
    assert check(tmp_path, {f"features.{kind}.{column}": options}, column, values).table.rows == 30


@pytest.mark.parametrize(
    ("kind", "column", "options", "values", "found"),
    [
        (
            "tags",
            "note",
            SEVERAL,
            ["a|b|c", "a", "a|b|c|d"],
            "a.csv: column 'note': expected at most 2 values per row (features.tags.note.max_length); found 2 rows "
            "with more values, at most 4: raise it, or set features.tags.note.cut to true",
        ),
        ("numbers", "marks", "{max_length: 2}", [[1, 2, 3]], "found 1 row with more values, at most 3"),
        (
            "numbers",
            "note",
            SEVERAL,
            ["1|2", "1|two"],
            "line 31: column 'note': found 'two' in a list; expected numbers",
        ),
        (
            "text",
            "note",
            "{}",
            [b"good", b"caf\xe9"],
            "a.parquet: row 30: column 'note': found bytes that are not UTF-8",
        ),
        (
            "numbers",
            "note",
            SEVERAL,
            [b"1|2", b"1|\xe9"],
            "a.parquet: row 30: column 'note': found bytes that are not UTF-8",
        ),
    ],
)
def test_bad_values_are_refused_in_one_line(
    tmp_path: Path, kind: str, column: str, options: str, values: list[Any], found: str
) -> None:
    with pytest.raises(UserError) as error:
        check(tmp_path, {f"features.{kind}.{column}": options}, column, values)
    assert found in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (
            {"features.tags.plain": "{max_length: 2}"},
            "the schema has one value per row in 'plain'; expected lists, or a",
        ),
        ({"features.tags.plain": SEVERAL}, "features.tags.plain.separator: the schema has type INT; expected BYTES"),
        ({"features.numbers.note": "{max_length: 2}"}, "the schema has one value per row in 'note'"),
        ({"features.numbers.likes": "{max_length: 2}"}, "the schema has type BYTES; expected a 'separator'"),
        ({"features.tags.marks": SEVERAL}, "or a feature of the kind tags or numbers without a separator"),
        ({"features.dense.marks": "{}"}, "or a feature of the kind tags or numbers without a separator"),
        ({"features.text.note": "{buckets: 5, top_k: 3}"}, "found both 'buckets' and 'top_k'"),
        ({"features.text.note": "{buckets: 5, weights: tf_idf}"}, "found both 'buckets' and weights 'tf_idf'"),
        ({"features.tags.note": "{max_length: 0, separator: x}"}, "features.tags.note.max_length: found 0"),
        *[
            (
                {f"features.{kind}": options, "tflite.enabled": "true"},
                f"features.{kind}.note: TFLite's builtin operators cannot {cannot}; set tflite.enabled to false",
            )
            for kind, options, cannot in (
                ("text", "{note: {}}", "split text into words"),
                ("tags", f"{{note: {SEVERAL}}}", "look up several words per row"),
                ("numbers", f"{{note: {SEVERAL}}}", "split text into numbers"),
            )
        ],
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, overrides: dict[str, str], found: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(tmp_path, overrides)
    assert found in str(error.value)


def test_lists_of_numbers_run_on_devices(tmp_path: Path) -> None:
    overrides = {"features.numbers.marks": "{max_length: 3}", "tflite.enabled": "true"}
    assert check(tmp_path, overrides, "marks", [[1, 2]]).table.rows == 30
