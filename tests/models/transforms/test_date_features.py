"""Dates that the graph reads, compared with Python's own."""

import calendar
import datetime
import functools
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_table import EVERY_KIND, small_table

from models.problem.date_formats import parse_format
from models.problem.dates import EPOCH, FIRST_DAY, LAST_DAY, PARTS, PERIODS, Date
from models.problem.features import Feature
from models.transforms.calendar import civil_from_days, days_from_civil, is_date
from models.transforms.columns import RawColumns
from models.transforms.date_texts import read_moments
from models.transforms.dates import _of_integers
from models.transforms.kinds import TRANSFORMS
from pipeline.date_values import read_dates

START = datetime.datetime(1970, 1, 1)
MANY = settings(max_examples=50, deadline=None)
FORMATS = (
    *("iso", "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y %I:%M %p", "%d.%m.%y", "%Y%m%d", "%Y%m%d%H%M%S", "%d %b %Y"),
    *("%A, %d %B %Y %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S%z", "%H:%M", "%Y-Q%q", "%b %Y", "%d%%%m%%%Y"),
)
moments = st.datetimes(datetime.datetime(1969, 1, 1), datetime.datetime(2068, 12, 31)) | st.datetimes()


@functools.cache
def reader(format_: str) -> Any:
    signature = [tf.TensorSpec([None, 1], tf.string)]
    return tf.function(lambda texts: read_moments([texts], parse_format(format_)), input_signature=signature)


def in_graph(texts: Sequence[str | bytes], format_: str) -> list[datetime.datetime | None]:
    found = reader(format_)(tf.constant([[text] for text in texts], tf.string, [len(texts), 1]))
    return as_datetimes(*(each.numpy()[:, 0] for each in found))


def as_datetimes(days: Any, seconds: Any, present: Any) -> list[datetime.datetime | None]:
    return [
        START + datetime.timedelta(days=int(day), seconds=int(second)) if known else None
        for day, second, known in zip(days, seconds, present, strict=True)
    ]


def written(moment: datetime.datetime, format_: str) -> str:
    quarter = format_.replace("%q", str((moment.month + 2) // 3))
    return moment.strftime(quarter.replace("%Y", f"{moment.year:04}"))


def read_by_python(text: str, format_: str) -> datetime.datetime:
    found = datetime.datetime.strptime(text, format_)
    if found.tzinfo:
        found = found.astimezone(datetime.UTC).replace(tzinfo=None)
    return found.replace(microsecond=0)


def test_the_calendar_is_pythons() -> None:
    days = np.unique([*range(FIRST_DAY, LAST_DAY, 499), *range(10_000, 60_000), FIRST_DAY, LAST_DAY]).astype(np.int32)
    civil = civil_from_days(tf.constant(days))
    np.testing.assert_array_equal(days_from_civil(civil.year, civil.month, civil.day), days)
    assert bool(tf.reduce_all(is_date(civil.year, civil.month, civil.day)))
    for index in range(0, len(days), 97):
        date = EPOCH + datetime.timedelta(days=int(days[index]))
        expected = (date.year, date.month, date.day, date.timetuple().tm_yday)
        assert expected == tuple(int(each[index]) for each in civil)


@pytest.mark.parametrize("format_", [each for each in FORMATS if each not in ("iso", "%H:%M", "%Y-Q%q")])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_text_is_read_as_by_strptime(format_: str, data: st.DataObject) -> None:
    zone = datetime.timezone(datetime.timedelta(minutes=data.draw(st.integers(-1439, 1439))))
    dates = data.draw(st.lists(moments.map(lambda each: each.replace(tzinfo=zone)), min_size=1, max_size=20))
    dates = [each for each in dates if 1 < each.year < 9999 and ("%y" not in format_ or 1969 <= each.year <= 2068)]
    texts = [written(each, format_) for each in dates]
    assert in_graph(texts, format_) == [read_by_python(text, format_) for text in texts]
    if "/%Y" in format_:  # leading zeros may be missing, but not in the year
        shorter = [re.sub(r"(^|/)0(\d\b)", r"\1\2", text) for text in texts]
        assert in_graph(shorter, format_) == in_graph(texts, format_)


@MANY
@given(dates=st.lists(moments, min_size=1, max_size=20), zone=st.sampled_from(["", "Z", "+02:00", "-0530", "+01"]))
def test_iso_8601_is_read_as_by_fromisoformat(dates: list[datetime.datetime], zone: str) -> None:
    texts = [f"{each.isoformat()}{zone}" for each in dates if 1 < each.year < 9999]
    expected = [datetime.datetime.fromisoformat(text).replace(microsecond=0) for text in texts]
    in_utc = [each.astimezone(datetime.UTC).replace(tzinfo=None) if zone else each for each in expected]
    assert in_graph(texts, "iso") == in_utc
    days = [datetime.datetime(each.year, each.month, each.day) for each in expected]
    assert in_graph([text[:10] for text in texts], "iso") == days


@pytest.mark.parametrize(
    ("format_", "texts"),
    [
        ("iso", ["", "2023-02-29", "2024-02-30", "2023-13-01", "2023-00-01", "2023-01-00", "0000-01-01", "23-01-01"]),
        ("iso", ["2023-1-1", " 2023-01-01", "2023-01-01 ", "2023-01-01x", "2023-01-01T", "2023-01-01T5:00", "x" * 99]),
        (
            "iso",
            ["2023-01-01T24:00", "2023-01-01T05:60", "2023-01-01T05:00+24:00", "202\u0663-01-01"],
        ),
        ("%d/%m/%Y", ["12/31/2023", "1/1/23", "001/1/2023", "1-1-2023", "1/1/2023 10:00", "//2023", "1/1/20233"]),
        ("iso", [f"2023-{month:02}-{calendar.monthrange(2023, month)[1] + 1}" for month in range(1, 13)]),
        ("%I:%M %p", ["0:30 AM", "13:00 PM", "1:00 XM", "1:00PM"]),
        ("%d %b %Y", ["1 Sept 2023", "1 Foo 2023", "1  Jan 2023"]),
        ("%Y-Q%q", ["2023-Q0", "2023-Q5", "2023-q1"]),
    ],
)
def test_other_texts_are_no_dates(format_: str, texts: list[str]) -> None:
    assert in_graph(texts, format_) == [None] * len(texts)
    assert not read_dates(pa.array(texts), Date(format=format_)).valid.any()


@pytest.mark.parametrize("format_", FORMATS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_check_before_a_run_takes_the_same_values_for_dates(format_: str, data: st.DataObject) -> None:
    def changed(text: str) -> st.SearchStrategy[str]:
        places = st.integers(0, max(len(text) - 1, 0))
        return st.tuples(places, st.sampled_from([*"0123456789 :-/.TZ+aPé", ""])).map(
            lambda each: text[: each[0]] + each[1] + text[each[0] + 1 :]
        )

    python = format_ if format_ != "iso" else "%Y-%m-%dT%H:%M:%S.%f"
    good = st.datetimes().map(lambda each: written(each.replace(tzinfo=datetime.UTC), python))
    texts = data.draw(st.lists(good | good.flatmap(changed) | st.text(max_size=9), min_size=1, max_size=20))
    found, checked = in_graph(texts, format_), read_dates(pa.array(texts), Date(format=format_))
    assert [each is not None for each in found] == checked.valid.tolist()
    if "%z" not in format_ and format_ != "iso":
        assert [each for each in found if each] == [
            each for each in as_datetimes(checked.days, checked.seconds, checked.valid) if each
        ]


@pytest.mark.parametrize(("unit", "micros"), [("s", 10**6), ("ms", 10**3), ("us", 1), ("ns", 0), ("d", 86_400 * 10**6)])
@MANY
@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**42), 2**42), min_size=1, max_size=20))
def test_integers_count_since_1970(unit: Any, micros: int, numbers: list[int]) -> None:
    def expected(number: int) -> datetime.datetime | None:
        try:
            moment = START + datetime.timedelta(microseconds=number * micros if micros else number // 1000)
        except OverflowError:
            return None
        return moment.replace(microsecond=0) if number != -(2**63) else None

    spec = Date(unit=unit)
    found = _of_integers(tf.constant([[number] for number in numbers], tf.int64), spec)
    assert as_datetimes(*(each.numpy()[:, 0] for each in found)) == list(map(expected, numbers))
    checked = read_dates(pa.array(numbers), spec)
    assert as_datetimes(checked.days, checked.seconds, checked.valid) == list(map(expected, numbers))


def moment_of(name: str, value: Any) -> datetime.datetime | None:
    spec = EVERY_KIND.date[name]
    if value is None:
        return None
    if spec.unit == "ms":
        return START + datetime.timedelta(milliseconds=value)
    return datetime.datetime.strptime(str(value), spec.format or "%Y-%m-%dT%H:%M:%S")


def parts_of(moment: datetime.datetime, spec: Date) -> dict[str, float]:
    age = datetime.datetime.fromisoformat(spec.reference or "1970-01-01") - moment
    return {
        "year": moment.year,
        "month": moment.month - 1,
        "day_of_month": moment.day - 1,
        "day_of_week": moment.weekday(),
        "day_of_year": moment.timetuple().tm_yday - 1,
        "hour": moment.hour,
        "minute_of_day": moment.hour * 60 + moment.minute,
        "age": age / datetime.timedelta(days=1),
    }


@pytest.mark.parametrize("name", EVERY_KIND.date)
def test_a_feature_has_the_parts_of_each_date(name: str) -> None:
    spec, rows = EVERY_KIND.date[name], small_table().rows
    dates = [moment_of(name, row[name]) for row in rows]
    found = small_table().transform(rows)[EVERY_KIND.tensor_name("date", name)]
    by_part = {part: [parts_of(date, spec)[part] for date in dates if date] for part in PARTS}
    for date, values in zip(dates, found, strict=True):
        expected: list[float] = []
        for part in spec.chosen_parts:
            if part in PERIODS:
                angle = 2 * math.pi * parts_of(date, spec)[part] / PERIODS[part] if date else 0
                expected += [math.sin(angle), math.cos(angle)] if date else [0, 0]
            else:
                mean, std = float(np.mean(by_part[part])), float(np.std(by_part[part])) or 1.0
                expected.append((parts_of(date, spec)[part] - mean) / std if date else 0)
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)


def test_a_value_that_is_no_date_is_a_missing_one() -> None:
    rows: list[dict[str, float | int | str | bytes | None]] = [
        {},
        {"visit": "2023-02-30", "born": "1 Sept 2020", "seen at": 2**62, "due": 20230230},
    ]
    for name in EVERY_KIND.date:
        found = small_table().transform(rows)[EVERY_KIND.tensor_name("date", name)]
        assert not found.any()


@pytest.mark.parametrize("rows", [0, 3])
def test_columns_of_one_format_are_read_together(rows: int) -> None:
    columns = [tf.constant([["2020-01-02"]] * rows, tf.string, [rows, 1]), tf.constant("x", tf.string, [rows, 1])]
    found = read_moments(columns, parse_format("iso"))
    assert found.present.numpy().tolist() == [[True, False]] * rows
    assert found.days.numpy().tolist() == [[18_263, 0]] * rows


def test_a_missing_hour_is_not_midnight() -> None:
    hours = tf.constant([[tf.int64.min], [0], [6]], tf.int64)
    features = [Feature("hour_date", ("hour",), Date(format="%H"))]
    found = TRANSFORMS["date"](features, RawColumns({"hour": hours}, {}, {}))["hour_date"]
    np.testing.assert_allclose(found, [[0, 0], [0, 1], [1, 0]], atol=1e-6)
