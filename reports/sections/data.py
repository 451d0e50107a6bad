"""The data of a run: rows a split, and each feature's distribution, from TFDV's statistics."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

from artifacts.names import STATISTICS_FILE
from reports.source import Source
from reports.statistics.distributions import Numbers, Texts, numbers, shift, texts

COMPARED = ("train", "eval")
Statistics: TypeAlias = statistics_pb2.FeatureNameStatistics


@dataclasses.dataclass(frozen=True)
class Column:
    """A feature in one split.

    Attributes:
        rows: Rows of the split.
        missing: Those without a value.
        values: How the values are distributed; ``None`` if there are none.
    """

    rows: int
    missing: int
    values: Numbers | Texts | None

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value."""
        return self.missing / self.rows if self.rows else 0.0


@dataclasses.dataclass(frozen=True)
class Feature:
    """A column of the table.

    Attributes:
        name: The column.
        type: ``INT``, ``FLOAT``, ``STRING`` or ``BYTES``.
        columns: By split; a split in which the column does not stand is left out.
        shift: How far the compared splits are apart, see :func:`reports.statistics.distributions.shift`;
            ``None`` where one has no values.
    """

    name: str
    type: str
    columns: Mapping[str, Column]
    shift: float | None


@dataclasses.dataclass(frozen=True)
class Data:
    """What StatisticsGen found.

    Attributes:
        rows: By split.
        compared: The two splits that the features are compared between.
        features: Those that differ most come first.
    """

    rows: Mapping[str, int]
    compared: tuple[str, str]
    features: tuple[Feature, ...]


def read_data(source: Source) -> Data:
    """The statistics of a run's splits.

    Raises:
        MissingError: StatisticsGen did not finish, or its files are gone.
    """
    folder = source.path("StatisticsGen", "statistics")
    splits = json.loads(source.artifact("StatisticsGen", "statistics").properties["split_names"])
    found = {split: read_split(folder / f"Split-{split}" / STATISTICS_FILE) for split in splits}
    compared = COMPARED if set(COMPARED) <= set(splits) else (splits[0], splits[-1])
    columns: dict[str, dict[str, Statistics]] = {}
    for split, statistics in found.items():
        for each in statistics.features:
            columns.setdefault(_name(each), {})[split] = each
    rows = {split: int(statistics.num_examples) for split, statistics in found.items()}
    features = [_feature(name, by_split, rows, compared) for name, by_split in columns.items()]
    features.sort(key=lambda each: (each.shift is None, -(each.shift or 0.0), each.name))
    return Data(rows, compared, tuple(features))


def read_split(path: Path) -> statistics_pb2.DatasetFeatureStatistics:
    """TFDV's statistics of one split."""
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets[0]


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
    values: Numbers | Texts | None = None
    if present and kind == "num_stats":
        values = numbers(each.num_stats, whole=each.type == Statistics.INT)
    elif present and kind == "string_stats":
        values = texts(each.string_stats, present)
    return Column(rows, rows - present, values)


def _name(each: Statistics) -> str:
    return ".".join(each.path.step) or each.name
