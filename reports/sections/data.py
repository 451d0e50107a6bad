"""The data of a run: rows per split, and the distribution of each column, from TFDV's statistics."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

from artifacts.files import UNREADABLE
from artifacts.left_out import read_left_out
from artifacts.statistics import read_statistics, split_names
from reports.section import Section
from reports.source import Source
from reports.statistics.distributions import NumericValues, StringValues, numeric_values, shift, string_values

COMPARED = ("train", "eval")
Statistics: TypeAlias = statistics_pb2.FeatureNameStatistics


@dataclasses.dataclass(frozen=True)
class Column:
    """A column in one split.

    Attributes:
        rows: Number of rows of the split.
        missing: Number of rows without a value.
        values: The distribution of the values, or ``None`` if there are none.
    """

    rows: int
    missing: int
    values: NumericValues | StringValues | None

    @property
    def missing_fraction(self) -> float:
        """Fraction of the rows without a value."""
        return self.missing / self.rows if self.rows else 0.0


@dataclasses.dataclass(frozen=True)
class Feature:
    """A column of the table.

    Attributes:
        name: Name of the column.
        type: ``INT``, ``FLOAT``, ``STRING`` or ``BYTES``.
        columns: The column by split, without splits that do not have it.
        shift: Difference between the compared splits (see :func:`reports.statistics.distributions.shift`), or ``None``
            if one of them has no values.
    """

    name: str
    type: str
    columns: Mapping[str, Column]
    shift: float | None


@dataclasses.dataclass(frozen=True)
class Data:
    """The statistics of a run's data.

    Attributes:
        rows: Number of rows by split.
        left_out: Number of rows that are in no split, by reason.
        compared: The two splits that are compared.
        features: The columns, those that differ most first.
    """

    rows: Mapping[str, int]
    left_out: Mapping[str, int]
    compared: tuple[str, str]
    features: tuple[Feature, ...]


def read(source: Source) -> Data:
    """Reads the statistics of a run's splits.

    Raises:
        MissingError: StatisticsGen did not finish, or its folder no longer exists.
    """
    folder = source.path("StatisticsGen", "statistics")
    splits = split_names(source.artifact("StatisticsGen", "statistics").properties)
    statistics = {split: read_statistics(folder, split) for split in splits}
    compared = COMPARED if set(COMPARED) <= set(splits) else (splits[0], splits[-1])
    columns: dict[str, dict[str, Statistics]] = {}
    for split, of_split in statistics.items():
        for each in of_split.features:
            columns.setdefault(_name(each), {})[split] = each
    rows = {split: int(of_split.num_examples) for split, of_split in statistics.items()}
    features = [_feature(name, by_split, rows, compared) for name, by_split in columns.items()]
    features.sort(key=lambda each: (each.shift is None, -(each.shift or 0.0), each.name))
    return Data(rows, _left_out(source), compared, tuple(features))


def _left_out(source: Source) -> Mapping[str, int]:
    with contextlib.suppress(*UNREADABLE):  # the files of the rows may have been deleted
        return read_left_out(source.path("ExampleGen", "examples"))
    return source.summary.left_out if source.summary else {}


def _feature(
    name: str, by_split: Mapping[str, Statistics], rows: Mapping[str, int], compared: tuple[str, str]
) -> Feature:
    columns = {split: _column(each, rows[split]) for split, each in by_split.items()}
    first, second = (columns[split].values if split in columns else None for split in compared)
    kind = statistics_pb2.FeatureNameStatistics.Type.Name(next(iter(by_split.values())).type)
    return Feature(name, kind, columns, shift(first, second))


def _column(each: Statistics, rows: int) -> Column:
    kind = each.WhichOneof("stats")
    common = getattr(each, kind).common_stats if kind else None
    present = int(common.num_non_missing) if common else 0
    values: NumericValues | StringValues | None = None
    if present and kind == "num_stats":
        values = numeric_values(each.num_stats, integers=each.type == Statistics.INT)
    elif present and kind == "string_stats":
        values = string_values(each.string_stats, present)
    return Column(rows, rows - present, values)


def _name(each: Statistics) -> str:
    return ".".join(each.path.step) or each.name


SECTION = Section("data", "Data", read, absent="No statistics")
