"""Reads a column of times, and finds out from all its cells how they are written."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.csv_types import INTEGER, NUMBER
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.splits.cells import texts_of
from custom_components.arrow_example_gen.splits.time_cells import EXAMPLES, Style, Written, read_cell
from custom_components.arrow_example_gen.table import Table

Values: TypeAlias = "np.ndarray[tuple[int], np.dtype[Any]]"
DAY = 86_400_000_000  # microseconds
_CLOCK = r"([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)"
_DATE = "[12][0-9]{3}-[0-9]{2}-[0-9]{2}"
# Patterns of cells that Arrow reads like read_cell, and much faster. Others are read one by one.
_FAST: tuple[tuple[str, Written, pa.DataType], ...] = (
    (INTEGER, Written(Style.INTEGER), pa.int64()),
    (NUMBER, Written(Style.FLOAT), pa.float64()),
    (f"^{_DATE}{_CLOCK}?$", Written(Style.YEAR_FIRST), pa.timestamp("us")),
    (
        f"^{_DATE}{_CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})$",
        Written(Style.YEAR_FIRST, zoned=True),
        pa.timestamp("us", "UTC"),
    ),
)
NUMBERS = (Style.INTEGER, Style.FLOAT)
ORDERED = (Style.DAY_FIRST, Style.MONTH_FIRST, Style.EITHER_ORDER, Style.SAME_NUMBER)
GROUPS = (NUMBERS, (Style.YEAR_FIRST,), (Style.MONTH_NAME,), ORDERED)


class Place(NamedTuple):
    """A cell of the table. Places sort by their position in the table.

    Attributes:
        number: Number of the file.
        row: Number of the row in the file, from 1.
        path: The file.
        cell: The cell, as text.
    """

    number: int
    row: int
    path: str
    cell: str


Evidence: TypeAlias = Mapping[Written, Place]


class Times(NamedTuple):
    """The times of some rows.

    Attributes:
        values: int64, or float64 if one of them is not an integer. See :attr:`.time_cells.Time.value`. 0 where missing.
        present: Whether a row has a time.
        first: Index of the first row by how its time is written.
    """

    values: Values
    present: Values
    first: Mapping[Written, int]


class NotATimeError(ValueError):
    """A cell is not a time.

    Attributes:
        index: Index of its row.
        cell: The cell, as text.
    """

    def __init__(self, index: int, cell: str) -> None:
        super().__init__(f"found {shown(cell)}; expected {EXAMPLES}")
        self.index, self.cell = index, cell


@dataclasses.dataclass(frozen=True)
class Form:
    """How all times of a column are written.

    Attributes:
        style: ``INTEGER``, ``FLOAT``, ``YEAR_FIRST``, ``MONTH_NAME``, ``DAY_FIRST`` or ``MONTH_FIRST``.
    """

    style: Style

    @property
    def is_number(self) -> bool:
        """Whether the times are numbers."""
        return self.style in NUMBERS

    def normalized(self, values: Values) -> Values:
        """Values as they are in this form: floats if some are, and dates in the order of the column."""
        if self.style is Style.FLOAT:
            return values.astype(np.float64)
        return _other_order(values) if self.style is Style.MONTH_FIRST else values


def read_times(cells: pa.Array) -> Times:
    """Reads the times of some rows.

    Args:
        cells: What :func:`.cells.cells_of` returns.

    Raises:
        NotATimeError: A cell is not a time.
    """
    if pa.types.is_integer(cells.type):
        return _numbers(pc.fill_null(cells, 0).to_numpy(), cells.is_valid().to_numpy(zero_copy_only=False), cells)
    if pa.types.is_floating(cells.type):
        found = pc.fill_null(cells.cast(pa.float64()), np.nan).to_numpy()
        return _numbers(np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf), ~np.isnan(found), cells)
    texts = texts_of(cells).dictionary_encode()
    values, written = _of_distinct(texts.dictionary)
    places = pc.fill_null(texts.indices, -1).to_numpy()
    missing = np.array([each is None for each in written] + [True])
    present = ~missing[places]
    unreadable = np.array([isinstance(each, str) for each in written] + [False])[places]
    if unreadable.any():
        index = int(np.argmax(unreadable))
        raise NotATimeError(index, str(written[places[index]]))
    kinds = [each for each in dict.fromkeys(written) if isinstance(each, Written)]
    codes = np.array([kinds.index(each) if isinstance(each, Written) else -1 for each in written] + [-1])[places]
    first = {kind: int(np.argmax(codes == code)) for code, kind in enumerate(kinds) if (codes == code).any()}
    return Times(np.append(values, values.dtype.type(0))[places], present, first)


def merge_evidence(parts: Iterable[Evidence]) -> Evidence:
    """The first place of each form in any of the parts."""
    merged: dict[Written, Place] = {}
    for part in parts:
        for written, place in part.items():
            merged[written] = min(place, merged.get(written, place))
    return merged


def form_of(evidence: Evidence, column: str, location: Callable[[Place], str]) -> Form:
    """Decides how a column is written.

    Args:
        evidence: The forms that its cells have, at least one.
        column: Its name.
        location: Describes a place.

    Raises:
        TableError: Cells are written in different ways, or the order of day and month is unknown.
    """
    by_style: dict[Style, Place] = {}
    by_zone: dict[bool, Place] = {}
    for written, place in sorted(evidence.items(), key=lambda each: each[1]):
        by_style.setdefault(written.style, place)
        if written.style not in NUMBERS:
            by_zone.setdefault(written.zoned, place)

    def conflict(one: Place, other: Place, expected: str) -> TableError:
        first, second = sorted((one, other))
        where = f"{location(second)}: column {shown(column)}: found {shown(second.cell)}"
        return TableError(f"{where}, but {shown(first.cell)} {_other(first, second, location)}; expected {expected}")

    groups = [[by_style[style] for style in styles if style in by_style] for styles in GROUPS]
    found = sorted(min(group) for group in groups if group)
    if len(found) > 1:
        raise conflict(found[0], found[1], "times that are all written in the same way")
    if Style.DAY_FIRST in by_style and Style.MONTH_FIRST in by_style:
        raise conflict(
            by_style[Style.DAY_FIRST],
            by_style[Style.MONTH_FIRST],
            "one order of day and month in a column: write the dates as YYYY-MM-DD",
        )
    if len(by_zone) > 1:
        raise conflict(by_zone[True], by_zone[False], "a time zone in all times, or in none")
    for style in (Style.FLOAT, *GROUPS[1], *GROUPS[2], Style.DAY_FIRST, Style.MONTH_FIRST, Style.INTEGER):
        if style in by_style:
            return Form(style)
    if either := by_style.get(Style.EITHER_ORDER):
        raise TableError(
            f"{location(either)}: column {shown(column)}: found {shown(either.cell)}, where either number can be the "
            "day, as in all dates of the column; expected a date that tells the order: write the dates as YYYY-MM-DD"
        )
    return Form(Style.DAY_FIRST)  # day and month are always the same number


def location_of(table: Table) -> Callable[[Place], str]:
    """Describes places of a table."""
    return lambda place: table.location(place.path, place.row)


def _other(first: Place, second: Place, location: Callable[[Place], str]) -> str:
    where = location(first)
    return f"in {where.removeprefix(f'{first.path}: ')}" if first.path == second.path else f"in {where}"


def _numbers(values: Values, present: Values, cells: pa.Array) -> Times:
    infinite = np.isinf(values) & present
    if infinite.any():
        index = int(np.argmax(infinite))
        raise NotATimeError(index, str(cells[index]))
    style = Style.FLOAT if values.dtype == np.float64 else Style.INTEGER
    return Times(values, present, {Written(style): int(np.argmax(present))} if present.any() else {})


def _of_distinct(texts: pa.Array) -> tuple[Values, list[Written | str | None]]:
    """Values of texts, and how each is written: ``None`` for a missing value, or the text if it is not a time."""
    written: list[Written | str | None] = [None] * len(texts)
    values: list[int | float] = [0] * len(texts)
    rest = np.arange(len(texts))
    parts: list[tuple[Values, Values]] = []
    for pattern, kind, arrow_type in _FAST:
        remaining = texts.take(pa.array(rest))
        matches = pc.match_substring_regex(remaining, pattern).to_numpy(zero_copy_only=False)
        if not matches.any():
            continue
        chosen = rest[matches]
        try:
            read = texts.take(pa.array(chosen)).cast(arrow_type)
        except pa.ArrowInvalid:  # such as 31 June
            continue
        if pa.types.is_timestamp(arrow_type):
            read = read.cast(pa.int64())
        parts.append((chosen, read.to_numpy()))
        for index in chosen:
            written[index] = kind
        rest = rest[~matches]
    for index in rest.tolist():
        text = texts[index].as_py()
        if text.lower() == "nan":
            continue
        time = read_cell(text)
        written[index] = time.written if time else text
        values[index] = time.value if time else 0
    floats = any(isinstance(each, Written) and each.style is Style.FLOAT for each in written)
    array = np.array(values, np.float64 if floats else np.int64)
    for chosen, read_values in parts:
        array[chosen] = read_values
    return array, written


def _other_order(micros: Values) -> Values:
    """Dates with day and month exchanged, where the day can be a month."""
    days = micros // DAY
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    day = (dates - months).astype(np.int64) + 1
    number = months.astype(np.int64)
    month = number % 12 + 1
    exchanged = (number - month + day).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + month - 1
    return np.where(day <= 12, exchanged * DAY + (micros - days * DAY), micros)
