"""Chooses the settings of a column of dates."""

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models.problem.dates import EPOCH, Part
from pipeline.drafting.table.columns import Column
from pipeline.drafting.table.date_styles import DateStyle, find_style

MONTHS = 3  # different months from which on the month is a part


class DateChoice(NamedTuple):
    """How a column of dates is used.

    Attributes:
        options: Its settings.
        reason: Its range, in a few words.
        warning: What is not certain, or empty.
    """

    options: Mapping[str, Any]
    reason: str
    warning: str = ""


def choose_date(column: Column, by_time: bool) -> DateChoice | None:
    """Chooses the settings of a column of dates, or ``None`` if they are written in different ways.

    Args:
        column: The column.
        by_time: Whether the table is split by time. Years that training rows lack are then not a part.
    """
    counted = column.sample.drop_null().value_counts()
    values, rows = counted.field(0), counted.field(1).to_numpy()
    style = find_style(values.cast(pa.int64()) if column.type == "INT" else values, rows)
    if style is None:
        return None
    parts = _parts(style, by_time)
    if not parts:
        return None
    spec = style.spec
    options: dict[str, Any] = {"unit": spec.unit} if spec.unit else {"format": spec.format}
    options["parts"] = list(parts)
    reason = _range(style)
    if "age" in parts:
        options["reference"] = _iso(int(style.dates.days.max()))
        reason += "; reference: the newest"
    return DateChoice(options, reason, _warning(column, style))


def _parts(style: DateStyle, by_time: bool) -> tuple[Part, ...]:
    """The parts that differ between rows."""
    dates, found = style.dates, list[Part]()
    if style.spec.has_date and len(days := np.unique(dates.days)) > 1:
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        found += [] if by_time else ["age"]
        if len(np.unique(months.astype(np.int64) % 12)) >= MONTHS:
            found.append("month")
        if (days.astype("datetime64[D]") != months).any():  # not only months, or quarters
            found.append("day_of_month")
            found += ["day_of_week"] if len(np.unique(days % 7)) > 1 else []
    if style.spec.has_time and len(np.unique(dates.seconds // 60)) > 1:
        found.append("minute_of_day" if (dates.seconds % 3600 != 0).any() else "hour")
    return tuple(found)


def _range(style: DateStyle) -> str:
    if not style.spec.has_date:
        low, high = int(style.dates.seconds.min()), int(style.dates.seconds.max())
        return f"{_clock(low)} to {_clock(high)}"
    return f"{_iso(int(style.dates.days.min()))} to {_iso(int(style.dates.days.max()))}"


def _warning(column: Column, style: DateStyle) -> str:
    if style.other_order:
        return (
            f"'{column.name}' has dates such as {column.sample.drop_null()[0]}, whose first two numbers can be the day "
            f"or the month in all rows: read as {style.spec.format}; if that is wrong, set the format to "
            f"{style.other_order}"
        )
    if others := 1 - style.share:
        share = f"{others:.1%}" if others >= 0.001 else "less than 0.1%"
        return f"{share} of '{column.name}' do not have the {style.spec.shown}: they count as missing"
    return ""


def _iso(days: int) -> str:
    return (EPOCH + datetime.timedelta(days=days)).isoformat()


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
