"""Values of date features that are no dates, as the check before a run reports them."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tiny_problem import SCHEMA, settings_file

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.loading import load_config
from pipeline.config.settings import Config
from pipeline.preflight.schema import check_against_schema, load_schema
from pipeline.preflight.table import CheckedTable, check_table

DATES = 'feature { name: "day" type: BYTES } feature { name: "paid" type: INT }'


def config_of(folder: Path, pattern: str = "*.csv", **date: Any) -> Config:
    given = {"data.pattern": json.dumps(pattern), "features.date": json.dumps(date)}
    path = settings_file(folder, (SCHEMA + DATES).encode())
    return load_config(path, given, data=str(folder))


def check(config: Config) -> CheckedTable:
    schema = load_schema(config, Path("tiny.yaml"))
    check_against_schema(config, schema, Path("tiny.yaml"))
    return check_table(config, schema)


def csv(folder: Path, *cells: str) -> None:
    rows = [f"1.0,5.0,cash,{cell}" for cell in cells]
    (folder / "a.csv").write_text("\n".join(["tips,fare,payment,day,paid", *rows, ""]))


def test_values_that_are_no_dates_are_counted_with_the_first_line(tmp_path: Path) -> None:
    csv(
        tmp_path, "2024-01-31,1700000000", ",", "2024-02-30,1700000000000000", "2024-02-28,3.0", "soon,", "2024-01-01,5"
    )
    found = check(config_of(tmp_path, day={}, paid={"unit": "s"}))
    assert found.warnings == (
        f"2 of 5 values of 'day' do not have the format 'iso' of features.date.day, such as '2024-02-30' in "
        f"{tmp_path}/a.csv: line 4: they count as missing",
        f"1 of 4 values of 'paid' do not have the unit 's' of features.date.paid, such as '1700000000000000' in "
        f"{tmp_path}/a.csv: line 4: they count as missing",
    )


def test_a_column_of_another_format_is_refused_with_the_first_line(tmp_path: Path) -> None:
    csv(tmp_path, "2024-01-31,", "31/01/2024,", "30/01/2024,")
    assert check(config_of(tmp_path, day={"format": "%d/%m/%Y"})).warnings
    with pytest.raises(DataError) as caught:
        check(config_of(tmp_path, day={}))
    assert str(caught.value) == (
        f"{tmp_path}/a.csv: line 3: column 'day': found '31/01/2024'; expected format 'iso', as in features.date.day. "
        "2 of 3 values do not have it: correct the setting"
    )


@pytest.mark.parametrize("name", ["a.parquet", "a.tfrecord"])
def test_values_of_other_formats_of_files_are_counted(tmp_path: Path, name: str) -> None:
    rows = [("2024-01-31", 20240131), ("2024-01-32", 20240132), ("2024-01-31", 20240131)]
    if name.endswith("parquet"):
        columns = {"tips": [1.0] * 3, "fare": [2.0] * 3, "day": [day for day, _ in rows], "paid": [n for _, n in rows]}
        pq.write_table(pa.table(columns), tmp_path / name)
    else:
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for day, number in rows:
                example = tf.train.Example()
                for column in ("tips", "fare"):
                    example.features.feature[column].float_list.value.append(1.0)
                example.features.feature["day"].bytes_list.value.append(day.encode())
                example.features.feature["paid"].int64_list.value.append(number)
                writer.write(example.SerializeToString())
    found = check(config_of(tmp_path, f"*{name[1:]}", day={}, paid={"format": "%Y%m%d"}))
    assert [line.split(" do not")[0] for line in found.warnings] == [
        "1 of 3 values of 'day'",
        "1 of 3 values of 'paid'",
    ]
    assert all(" 2: they count as missing" in line for line in found.warnings)


def test_times_of_parquet_are_dates(tmp_path: Path) -> None:
    times = [datetime.datetime(2024, 1, 31, 5), None]
    columns = {"tips": [1.0] * 2, "fare": [2.0] * 2, "day": pa.array(times, pa.timestamp("us", "UTC"))}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert check(config_of(tmp_path, "*.parquet", day={})).warnings == ()


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ({"fare": {}}, "features.date.fare: the schema has type FLOAT; date needs INT or BYTES"),
        ({"day": {"unit": "s"}}, "features.date.day: found 'unit: s' for text; expected 'format', such as '%Y-%m-%d'"),
        (
            {"paid": {}},
            "features.date.paid: found format 'iso' for integers; expected 'unit', such as s, or a format of",
        ),
    ],
)
def test_settings_that_do_not_fit_the_schema(tmp_path: Path, date: dict[str, Any], said: str) -> None:
    csv(tmp_path, "2024-01-31,1")
    with pytest.raises(ConfigError) as caught:
        check(config_of(tmp_path, **date))
    assert said in str(caught.value)


def test_an_unknown_directive_is_named_with_its_key(tmp_path: Path) -> None:
    csv(tmp_path, "2024-01-31,1")
    with pytest.raises(ConfigError, match=r"features\.date\.day: format: found '%x' in '%x'; expected 'iso' or direct"):
        config_of(tmp_path, day={"format": "%x"})
