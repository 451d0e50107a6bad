"""Splits a table by time: all rows of a split are earlier than those of the next one."""

import dataclasses
import datetime
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from artifacts.nodes.left_out import NO_TIME, gap_before
from custom_components.arrow_example_gen.formats.csv_errors import MISSING_HINT
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.splits.cells import cells_of, read_column
from custom_components.arrow_example_gen.splits.settings import Gap
from custom_components.arrow_example_gen.splits.strategy import NumberedFile, Rows, missing_value
from custom_components.arrow_example_gen.splits.time_cells import MICROSECOND, Style
from custom_components.arrow_example_gen.splits.time_column import (
    Evidence,
    Form,
    NotATimeError,
    Place,
    Times,
    Values,
    form_of,
    location_of,
    merge_evidence,
    read_times,
)
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows

SETTING, GAP_SETTING = "data.split_time", "data.split_gap"
LOWEST = -(2**63)


class TimesPart(NamedTuple):
    """The times of some rows.

    Attributes:
        values: Those of rows that have a time, sorted.
        evidence: How they are written.
    """

    values: Values
    evidence: Evidence


@dataclasses.dataclass(frozen=True)
class TimeSplit:
    """A split by time.

    Attributes:
        column: The column of times.
        gap: Minimum time between the last row of a split and the first row of the next one.
        names: Names of the splits, the earliest first.
        weights: Their relative sizes.
        required: Whether each row must have a time.
        labels: What a row must have to be counted, or ``None`` for all rows.
    """

    column: str
    gap: Gap
    names: tuple[str, ...]
    weights: tuple[int, ...]
    required: bool
    labels: LabelRows | None = None

    def survey(self, file: NumberedFile, table: Table) -> Iterator[TimesPart]:
        """Yields the times of a file, 8 bytes per row."""
        for read in read_column(table, file.path, self.column, self.labels):
            cells = cells_of(table, read.batch, self.column, file.path, read.before)
            times = _read(table, file.path, read.before, self.column, cells)
            if self.required and not times.present.all():
                row = read.before + int(np.argmin(times.present)) + 1
                raise missing_value(table, file.path, row, self.column, SETTING)
            evidence = {
                written: Place(file.number, read.before + index + 1, file.path, str(cells[index]))
                for written, index in times.first.items()
            }
            yield TimesPart(np.sort(times.values[times.present & read.labeled]), evidence)

    def decide(self, parts: Iterable[TimesPart], table: Table) -> "TimeBounds":
        """Finds the first time of each split.

        Raises:
            TableError: The times are written in different ways, do not suit the gap, or leave a split empty.
        """
        found = list(parts)
        evidence = merge_evidence(part.evidence for part in found)
        folder_of = f"{table.first}: column {shown(self.column)}"
        if not evidence:
            raise TableError(
                f"{folder_of}: found no value in any row; expected times, since {SETTING} names this column"
            )
        form = form_of(evidence, self.column, location_of(table))
        values, counts = np.unique(np.concatenate([form.normalized(part.values) for part in found]), return_counts=True)
        if len(values) < len(self.names):
            raise TableError(
                f"{folder_of}: found {len(values)} different time{'s' if len(values) > 1 else ''} in all rows; "
                f"expected at least {len(self.names)}, one for each split: rows with the same time stay together"
            )
        starts = [values[at].item() for at in _cuts(counts, self.weights)]
        bounds = TimeBounds(self.column, form, tuple(starts), self._limits(form, values, starts, folder_of), self.names)
        self._check_sizes(bounds, values, counts, folder_of)
        return bounds

    def _limits(self, form: Form, values: Values, starts: Sequence[int | float], where: str) -> tuple[int | float, ...]:
        """Latest time before each start that is not within the gap."""
        size, is_duration = self.gap
        if not size:
            return tuple(starts)
        is_compact = form.style is Style.INTEGER and _are_compact_dates(values)
        if is_duration and is_compact:
            return tuple(_compact(int(start), size) for start in starts)
        if is_duration != (not form.is_number or is_compact):
            found = "dates" if not form.is_number or is_compact else "numbers"
            expected = (
                "a duration such as 7d or 12h"
                if not is_duration
                else "a number in their unit, such as 604800 for seconds"
            )
            given = "a duration" if is_duration else f"the number {size}"
            raise TableError(f"{where}: found {found}, and {given} in {GAP_SETTING}; expected {expected}")
        if form.style is Style.FLOAT:
            return tuple(start - size for start in starts)
        return tuple(max(int(start) - math.ceil(size), LOWEST) for start in starts)

    def _check_sizes(self, bounds: "TimeBounds", values: Values, counts: Values, where: str) -> None:
        kept = bounds.places(values)
        for index, name in enumerate(self.names):
            if not counts[kept == index].sum():
                raise TableError(
                    f"{where}: all rows of the {name} split are within {GAP_SETTING} before the next split; expected a "
                    "shorter gap"
                )


@dataclasses.dataclass(frozen=True)
class TimeBounds:
    """The times that bound the splits.

    Attributes:
        column: The column of times.
        form: How they are written.
        starts: First time of each split but the first.
        limits: Time up to which rows before each start are kept.
        names: Names of the splits.
    """

    column: str
    form: Form
    starts: tuple[int | float, ...]
    limits: tuple[int | float, ...]
    names: tuple[str, ...]

    def choose(self, table: Table, rows: Rows) -> Sequence[int | str]:
        """Returns the index of each row's split, or why it is left out."""
        cells = cells_of(table, rows.batch, self.column, rows.file.path, rows.before)
        times = _read(table, rows.file.path, rows.before, self.column, cells)
        outcomes = [*range(len(self.names)), *map(gap_before, self.names[1:]), NO_TIME]
        places = np.where(times.present, self.places(self.form.normalized(times.values)), len(outcomes) - 1)
        return [outcomes[place] for place in places.tolist()]

    def places(self, values: Values) -> Values:
        """Index of the split of each time, or, within a gap, the number of splits plus the index of the gap."""
        starts = np.array(self.starts)
        index = np.searchsorted(starts, values, side="right")
        limits = np.array([*self.limits, np.inf if self.form.style is Style.FLOAT else -LOWEST - 1])[index]
        in_gap = (values > limits) & (index < len(starts))
        return np.where(in_gap, len(self.names) + index, index)


def _read(table: Table, path: str, before: int, column: str, cells: pa.Array) -> Times:
    try:
        return read_times(cells)
    except NotATimeError as error:
        where = table.location(path, before + error.index + 1)
        raise TableError(
            f"{where}: column {shown(column)}: {error}{f'; {MISSING_HINT}' if table.is_text else ''}"
        ) from error


def _cuts(counts: Values, weights: Sequence[int]) -> list[int]:
    """Divides different times, in their order, into splits whose sizes are as close to the weights as possible.

    Args:
        counts: Number of rows by time.
        weights: Relative sizes of the splits.

    Returns:
        Index of the first time of each split but the first. No split is empty.

    >>> _cuts(np.array([8, 1, 1]), [7, 1, 2])
    [1, 2]
    """
    rows, cuts, inner = np.cumsum(counts), [0], list(itertools.accumulate(weights))[:-1]
    for number, weight in enumerate(inner):
        low, high = cuts[-1] + 1, len(counts) - len(inner) + number
        before = rows[low - 1 : high]  # rows before each possible cut
        cuts.append(low + int(np.argmin(np.abs(before * sum(weights) - rows[-1] * weight))))
    return cuts[1:]


def _are_compact_dates(values: Values) -> bool:
    """Whether all numbers are dates such as 20200425."""
    year, month, day = values // 10_000, values // 100 % 100, values % 100
    if not ((year >= 1000) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)).all():
        return False
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return bool((day <= ((months + 1).astype("datetime64[D]") - months).astype(np.int64)).all())


def _compact(start: int, micros: int | float) -> int:
    """The date that is some time before a date such as 20200425, rounded down."""
    date = datetime.datetime(start // 10_000, start // 100 % 100, start % 100)
    if (date - datetime.datetime.min) // MICROSECOND < micros:
        return LOWEST
    earlier = date - int(micros) * MICROSECOND
    return earlier.year * 10_000 + earlier.month * 100 + earlier.day
