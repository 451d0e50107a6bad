"""Columns of dates that a draft finds, how they are written, and which parts of them are features."""

import datetime
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drafts import Drafted, drafted, table
from test_refused_tables import number, rows, yes

from models.problem.dates import Date
from pipeline.drafting.table.date_styles import find_style, formats_of

START = datetime.datetime(2024, 1, 1)
DAY, MONTH = ["month", "day_of_month", "day_of_week"], ["month"]


def days(row: int) -> datetime.datetime:
    return START + datetime.timedelta(days=row * 7 % 360)


def minutes(row: int) -> datetime.datetime:
    return days(row) + datetime.timedelta(minutes=97 * row % 1440)


def draft(folder: Path, cell: Callable[[int], Any], *options: str, name: str = "b") -> Drafted:
    text = rows(number, cell, yes, header=f"a,{name},label")
    found = drafted(table(folder / "a.csv", text), "label", folder / "out", *options)
    assert (found.code, found.stderr) == (0, "")
    return found


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        (lambda row: days(row).date(), {"format": "iso", "parts": ["age", *DAY]}),
        (lambda row: f"{minutes(row).isoformat()}Z", {"format": "iso", "parts": ["age", *DAY, "minute_of_day"]}),
        (
            lambda row: f"{days(row):%d/%m/%Y} 0{row % 9}:00",
            {"format": "%d/%m/%Y %H:%M", "parts": ["age", *DAY, "hour"]},
        ),
        (lambda row: f"{days(row):%m/%d/%y}", {"format": "%m/%d/%y", "parts": ["age", *DAY]}),
        (lambda row: f'"{days(row):%B %d, %Y}"', {"format": "%B %d, %Y", "parts": ["age", *DAY]}),
        (lambda row: f"{days(row):%Y-%m}", {"format": "%Y-%m", "parts": ["age", *MONTH]}),
        (lambda row: f"{row % 20 + 2000}-Q{row % 4 + 1}", {"format": "%Y-Q%q", "parts": ["age", *MONTH]}),
        (lambda row: f"{minutes(row):%I:%M %p}", {"format": "%I:%M %p", "parts": ["minute_of_day"]}),
        (lambda row: f"{days(row):%Y%m%d}", {"format": "%Y%m%d", "parts": ["age", *DAY]}),
    ],
)
def test_the_format_and_the_parts_of_dates(tmp_path: Path, cell: Callable[[int], Any], options: dict[str, Any]) -> None:
    found = dict(draft(tmp_path, cell).settings["features"]["date"]["b"])
    assert ("reference" in found) == ("age" in options["parts"])
    found.pop("reference", None)
    assert found == options


@pytest.mark.parametrize(("unit", "count"), [("s", 1), ("ms", 10**3), ("us", 10**6)])
def test_integers_since_1970_are_dates_if_the_name_says_so(tmp_path: Path, unit: str, count: int) -> None:
    def epoch(row: int) -> int:
        return int(minutes(row).replace(tzinfo=datetime.UTC).timestamp()) * count

    found = draft(tmp_path, epoch, name="created_at").settings["features"]["date"]["created_at"]
    assert (found["unit"], found["parts"]) == (unit, ["age", *DAY, "minute_of_day"])
    assert "date" not in draft(tmp_path, epoch, "--force", name="amount").settings["features"]


def test_the_reference_is_the_newest_date_and_says_so(tmp_path: Path) -> None:
    found = draft(tmp_path, lambda row: days(row).date())
    newest = max(days(row).date() for row in range(120)).isoformat()
    assert found.settings["features"]["date"]["b"]["reference"] == newest
    assert found.reasons["b"] == f"2024-01-01 to {newest}; reference: the newest"


def test_later_dates_are_no_anomaly(tmp_path: Path) -> None:
    feature = draft(tmp_path, lambda row: f"{days(row):%Y%m%d}").schema["b"]
    assert not feature.HasField("int_domain")
    assert not feature.HasField("drift_comparator")


def test_a_split_by_time_has_no_part_whose_values_only_later_rows_have(tmp_path: Path) -> None:
    text = rows(number, lambda row: days(row).date(), minutes, yes, header="a,b,c,label")
    found = drafted(table(tmp_path / "a.csv", text), "label", tmp_path / "out", "--time", "c")
    assert (found.code, found.stderr) == (0, "")
    assert found.settings["features"]["date"] == {"b": {"format": "iso", "parts": DAY}}


@pytest.mark.parametrize(
    ("separator", "format_", "other"), [("/", "%m/%d/%Y", "%d/%m/%Y"), ("-", "%d-%m-%Y", "%m-%d-%Y")]
)
def test_an_order_that_the_data_does_not_tell_is_said(tmp_path: Path, separator: str, format_: str, other: str) -> None:
    found = draft(tmp_path, lambda row: f"{row % 11 + 1}{separator}{row % 7 + 1}{separator}2024")
    assert found.settings["features"]["date"]["b"]["format"] == format_
    [line] = [line for line in found.choices["warnings"] if "'b'" in line]
    assert (
        f"can be the day or the month in all rows: read as {format_}; if that is wrong, set the format to {other}"
        in line
    )


def test_values_that_are_no_dates_are_counted(tmp_path: Path) -> None:
    found = draft(tmp_path, lambda row: "2024-02-30" if row == 7 else days(row).date())
    assert "0.8% of 'b' do not have the format 'iso': they count as missing" in found.choices["warnings"]


def test_dates_of_parquet_are_features(tmp_path: Path) -> None:
    count = 120
    columns = {
        "seen": pa.array([minutes(row) for row in range(count)], pa.timestamp("us", "UTC")),
        "day": pa.array([days(row).date() for row in range(count)], pa.date32()),
        "price": pa.array([decimal.Decimal(row % 7) for row in range(count)], pa.decimal128(9, 2)),
        "shape": [{"x": 1}] * count,
        "label": [str(yes(row)) for row in range(count)],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = drafted(tmp_path / "a.parquet", "label", tmp_path / "out")
    assert (found.code, found.stderr) == (0, "")
    assert found.uses == {"seen": "date", "day": "date", "price": "dense", "label": "label"}
    assert any("column 'shape' is struct<x: int64>, which is not read" in line for line in found.choices["warnings"])
    refused = drafted(tmp_path / "a.parquet", "shape", tmp_path / "new")
    assert "--label: column 'shape' is struct<x: int64>, which is not read: make a column for each" in refused.stderr
    assert drafted(tmp_path / "a.parquet", "label", tmp_path / "new", "--leave-out", "shape").code == 0


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-06T01:02:03.5+02:00", "5/6/2024 1:02:03 PM UTC", "Mon, 6 May 2024 01:02 +0000", "6-May-24"),
        *("06.05.2024 01:02", "2024/5/6", "May 6, 2024", "Monday, 6 May 2024", "May 2024", "2024Q2", "1:02pm"),
    ],
)
def test_a_written_form_has_a_format_that_reads_it(text: str) -> None:
    style = find_style(pa.array([text]), np.array([1]))
    assert style
    assert style.spec == Date(format=style.spec.format)
    assert style.share == 1


def test_a_date_without_a_year_has_no_format() -> None:
    assert list(formats_of("25 Apr")) == list(formats_of("Wed Oct")) == []
