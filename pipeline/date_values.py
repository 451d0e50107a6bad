"""Reads dates without TensorFlow, to check and to draft settings. Features are only computed by the Transform graph.

Both read a text by :mod:`models.problem.date_formats`, and a test compares which values they take for dates.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.problem.dates import PER_DAY, Date

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
DAY = 86_400  # seconds
_MAX = {"hour": 23, "minute": 59, "second": 59, "quarter": 4, "hour_12": 12, "zone_hour": 23, "zone_minute": 59}
_MIN = {"quarter": 1, "hour_12": 1}
_SHORT_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Dates(NamedTuple):
    """Dates of N rows, in the zone of each text.

    Attributes:
        valid: Which values are dates: bool [N].
        days: Days since 1970: int64 [N].
        seconds: Seconds since midnight: int64 [N].
    """

    valid: Mask
    days: Numbers
    seconds: Numbers


def read_dates(values: pa.Array, spec: Date) -> Dates:
    """Reads the dates of a column.

    Args:
        values: int64, text or bytes [N], without nulls.
        spec: How they are written.
    """
    if pa.types.is_integer(values.type) and spec.unit:
        return _of_integers(values.to_numpy(), spec)
    texts = values.cast(pa.large_string()) if pa.types.is_integer(values.type) else _texts(values)
    found = pc.extract_regex(texts, spec.date_format.pattern)
    fields = {field.name: pc.struct_field(found, field.name) for field in found.type}
    numbers = {name: _digits(each) for name, each in fields.items()}
    for name in {"month_name", "half"} & fields.keys():
        known = _SHORT_MONTHS if name == "month_name" else ("am", "pm")
        short = pc.utf8_lower(pc.utf8_slice_codeunits(fields[name], 0, len(known[0])))
        numbers[name] = pc.fill_null(pc.index_in(short, pa.array(known, short.type)), 0).to_numpy() + 1
    return _of_fields(found.is_valid().to_numpy(zero_copy_only=False), numbers)


def _of_integers(numbers: Numbers, spec: Date) -> Dates:
    low, high = spec.range
    valid = (numbers >= low) & (numbers <= high)
    per_day = PER_DAY[spec.unit or "d"]
    days, rest = np.divmod(np.where(valid, numbers, 0), per_day)
    return Dates(valid, days, rest // max(per_day // DAY, 1))


def _of_fields(valid: Mask, fields: Mapping[str, Numbers]) -> Dates:
    valid = valid.copy()
    for name, numbers in fields.items():
        valid &= (numbers >= _MIN.get(name, 0)) & (numbers <= _MAX.get(name, 10**9))
    zero = np.zeros(len(valid), np.int64)
    days = zero
    if "year" in fields or "short_year" in fields:
        year = fields["year"] if "year" in fields else _full_year(fields["short_year"])
        month = fields.get("month", fields.get("month_name", zero + 1))
        month = 3 * fields["quarter"] - 2 if "quarter" in fields else month
        day = fields.get("day", zero + 1)
        valid &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
        months = np.where(valid, (year - 1970) * 12 + month - 1, 0)
        first, following = (_first_day(months + each) for each in (0, 1))
        valid &= day <= following - first
        days = first + day - 1
    hour = fields.get("hour", zero)
    if "hour_12" in fields:
        hour = fields["hour_12"] % 12 + 12 * (fields["half"] - 1)
    seconds = (hour * 60 + fields.get("minute", zero)) * 60 + fields.get("second", zero)
    return Dates(valid, np.where(valid, days, 0), np.where(valid, seconds, 0))


def _first_day(months: Numbers) -> Numbers:
    """Days since 1970 of the first day of each month, which counts from January 1970."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _full_year(short: Numbers) -> Numbers:
    return np.where(short <= 68, short + 2000, short + 1900)


def _texts(values: pa.Array) -> pa.Array:
    """Bytes as text. Those that are not UTF-8 are no dates."""
    try:
        return values.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array([each.decode(errors="replace") for each in values.to_pylist()], pa.large_string())


def _digits(texts: pa.Array) -> Numbers:
    """Digits as numbers. Words, and what a text does not have, are 0."""
    is_number = pc.fill_null(pc.match_substring_regex(texts, "^[0-9]+$"), fill_value=False)
    return np.asarray(pc.if_else(is_number, texts, pa.scalar("0", texts.type)).cast(pa.int64()).to_numpy())
