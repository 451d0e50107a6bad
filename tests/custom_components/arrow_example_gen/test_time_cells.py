"""Compares the times that are read from cells with dates that Python computes."""

import datetime
import random

import numpy as np
import pyarrow as pa
import pytest

from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.splits import time_column
from custom_components.arrow_example_gen.splits.time_cells import Style, Written, read_cell
from custom_components.arrow_example_gen.splits.time_column import NotATimeError, Place, form_of, read_times

EPOCH = datetime.datetime(1970, 1, 1)
DATE = datetime.datetime(2020, 4, 25)
CLOCK = datetime.datetime(2020, 4, 25, 13, 30)


def micros(date: datetime.datetime) -> int:
    return (date - EPOCH) // datetime.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2020-04-25", DATE),
        ("2020/4/25", DATE),
        ("2020.04.25", DATE),
        ("2020-04", DATE.replace(day=1)),
        ("2020-Q2", DATE.replace(month=4, day=1)),
        ("20200425T133000Z", CLOCK),
        ("2020-04-25 13:30", CLOCK),
        ("2020-04-25T13:30:00", CLOCK),
        ("2020-04-25T13:30:00.000", CLOCK),
        ("2020-04-25 13:30:00.123456789", CLOCK.replace(microsecond=123456)),
        ("2020-04-25T15:30:00+02:00", CLOCK),
        ("2020-04-25 11:30:00-0200", CLOCK),
        ("2020-04-25 13:30:00 UTC", CLOCK),
        ("25/04/2020", DATE),
        ("04/25/2020", DATE),
        ("25.4.2020 13:30", CLOCK),
        ("4/25/2020 1:30 PM", CLOCK),
        ("25-04-2020 13:30:00", CLOCK),
        ("25 Apr 2020", DATE),
        ("25-Apr-2020", DATE),
        ("25 April 2020", DATE),
        ("Apr 25, 2020", DATE),
        ("April 25th, 2020 1:30 pm", CLOCK),
        ("Apr 2020", DATE.replace(day=1)),
        ("Sat, 25 Apr 2020 15:30:00 +0200", CLOCK),
        ("25/Apr/2020:13:30:00 +0000", CLOCK),
        ("0999-12-31", datetime.datetime(999, 12, 31)),
        ("9999-12-31", datetime.datetime(9999, 12, 31)),
    ],
)
def test_written_forms_of_a_date(text: str, date: datetime.datetime) -> None:
    found = read_cell(text)
    assert found
    assert found.value == micros(date)
    times = read_times(pa.array([text]))  # Arrow reads some of them
    assert times.values.tolist() == [micros(date)]
    assert list(times.first) == [found.written]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "25/04/20",
            "2020-04-31",
            "31/02/2020",
            "25/13/2020",
            "2020-13-01",
            "13:30",
            "Apr",
            "25 Abr 2020",
            "yesterday",
        ),
        *("2020-04-25 25:00", "2020-04-25 13:60", "2020-04-25 13 PM", "2020-04-25 10:00 EST", "2020-04-25 10", "inf"),
        *("2020-04 10:00", "04/25-2020", "0000-01-01", "25/04/2020 10:00 +02:00", str(2**63), "٢٠٢٠-٠٤-٢٥"),
    ],
)
def test_what_is_not_surely_a_time_is_refused(text: str) -> None:
    assert read_cell(text) is None
    with pytest.raises(NotATimeError, match="expected a number, or a date with a year of four digits"):
        read_times(pa.array(["", text]))


def test_numbers_are_read_exactly() -> None:
    cells = pa.array(["9007199254740993", None, " -5 ", "", "nan"])
    times = read_times(cells)
    assert times.values[times.present].tolist() == [9007199254740993, -5]
    assert times.present.tolist() == [True, False, True, False, False]
    assert read_times(pa.array(["1.5", "2"])).values.tolist() == [1.5, 2.0]
    assert read_times(pa.array([1.5, None, float("nan")])).present.tolist() == [True, False, False]
    assert read_times(pa.array([b"2020-04-25", None])).values[0] == micros(DATE)


def form(*cells: str) -> time_column.Form:
    evidence: dict[Written, Place] = {}
    for index, cell in enumerate(cells):
        for written in read_times(pa.array([cell])).first:
            evidence.setdefault(written, Place(0, index + 1, "t.csv", cell))
    return form_of(evidence, "day", lambda place: f"{place.path}: line {place.row + 1}")


def test_one_date_tells_the_order_of_all() -> None:
    generator = random.Random(0)
    dates = [EPOCH + datetime.timedelta(days=generator.randrange(-20_000, 40_000), minutes=7) for _ in range(300)]
    for style, pattern in ((Style.DAY_FIRST, "%d/%m/%Y %H:%M"), (Style.MONTH_FIRST, "%m/%d/%Y %H:%M")):
        texts = [date.strftime(pattern) for date in dates]
        found = form(*texts)
        assert found.style == style
        times = read_times(pa.array(texts))
        assert found.normalized(times.values).tolist() == [micros(date) for date in dates]


def test_with_dots_the_day_is_first() -> None:
    found = form("03.04.2020", "05.06.2020")
    assert found.style == Style.DAY_FIRST
    assert found.normalized(read_times(pa.array(["03.04.2020"])).values)[0] == micros(datetime.datetime(2020, 4, 3))


def test_integers_among_floats_are_floats() -> None:
    found = form("1", "2.5")
    assert found.style == Style.FLOAT
    assert found.normalized(np.array([3])).dtype == np.float64


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["03/04/2020", "25/04/2020", "04/25/2020"],
            "t.csv: line 4: column 'day': found '04/25/2020', but '25/04/2020' in line 3; expected one order of day "
            "and month in a column: write the dates as YYYY-MM-DD",
        ),
        (
            ["03/03/2020", "03/04/2020"],
            "t.csv: line 3: column 'day': found '03/04/2020', where either number can be the day, as in all dates of "
            "the column; expected a date that tells the order: write the dates as YYYY-MM-DD",
        ),
        (["2020-04-25", "12"], "line 3: column 'day': found '12', but '2020-04-25' in line 2; expected times that are"),
        (["2020-04-25", "25/04/2020"], "found '25/04/2020', but '2020-04-25' in line 2; expected times that are all"),
        (
            ["2020-04-25 10:00Z", "2020-04-25"],
            "found '2020-04-25', but '2020-04-25 10:00Z' in line 2; expected a time zone",
        ),
    ],
)
def test_a_column_is_written_in_one_way(cells: list[str], message: str) -> None:
    with pytest.raises(TableError) as caught:
        form(*cells)
    assert message in str(caught.value)
