"""The data of a run: rows per split, and the distribution of each column, from TFDV's statistics."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

from artifacts.files import UNREADABLE
from artifacts.nodes.label_counts import read_label_counts
from artifacts.nodes.left_out import read_left_out
from artifacts.nodes.statistics import read_statistics, split_names
from reports.section import Section
from reports.source import Source
from reports.statistics.distributions import NumericValues, StringValues, numeric_values, string_values
from reports.statistics.shifts import Sample, Shift, shift

COMPARED = ("train", "eval")
PAGES = 0.01
MAX_CLASSES = 12  # that are shown
Statistics: TypeAlias = statistics_pb2.FeatureNameStatistics


@dataclasses.dataclass(frozen=True)
class Feature:
    """A column of the table.

    Attributes:
        name: Name of the column.
        type: ``INT``, ``FLOAT``, ``STRING`` or ``BYTES``.
        columns: The column by split, without splits that do not have it.
        shifts: Difference of each other split from the first one, as far as both have the column.
    """

    name: str
    type: str
    columns: Mapping[str, Sample]
    shifts: Mapping[str, Shift]

    @property
    def largest_shift(self) -> float:
        """The largest difference, or -1 if there is none."""
        return max((each.value for each in self.shifts.values()), default=-1.0)

    @property
    def is_shifted(self) -> bool:
        """Whether a split differs by more than what is expected by chance."""
        return any(each.is_larger for each in self.shifts.values())


@dataclasses.dataclass(frozen=True)
class Label:
    """The label in each split.

    Attributes:
        name: Its column, or its name if it is computed.
        classes: Fraction of the rows by class, by split. Empty for a regression.
        numbers: Its values by split, for a regression.
    """

    name: str
    classes: Mapping[str, Mapping[str, float]]
    numbers: Mapping[str, NumericValues]


@dataclasses.dataclass(frozen=True)
class Data:
    """The statistics of a run's data.

    Attributes:
        rows: Number of rows by split.
        left_out: Number of rows that are in no split, by reason.
        compared: The two splits whose distributions are shown.
        features: The columns, those that differ most first.
        label: The label, or ``None`` if it is not known.
    """

    rows: Mapping[str, int]
    left_out: Mapping[str, int]
    compared: tuple[str, str]
    features: tuple[Feature, ...]
    label: Label | None = None

    @property
    def shifted(self) -> tuple[Feature, ...]:
        """The columns that differ by more than what is expected by chance."""
        return tuple(each for each in self.features if each.is_shifted)


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
    others = [split for split in splits if split != compared[0]]
    # Chance marks a column on one page in a hundred.
    alpha = PAGES / max(len(columns) * len(others), 1)
    features = [_feature(name, by_split, rows, (compared[0], *others), alpha) for name, by_split in columns.items()]
    features.sort(key=lambda each: (-each.largest_shift, each.name))
    return Data(rows, _left_out(source), compared, tuple(features), _label(source, rows, features))


def _label(source: Source, rows: Mapping[str, int], features: Sequence[Feature]) -> Label | None:
    """Reads the label's classes, which Transform counts, or its values, which TFDV describes."""
    problem = source.problem
    label = problem.get("label", {})
    if problem.get("task") == "regression":
        found = next((each for each in features if each.name == label.get("column")), None)
        values = {split: each.values for split, each in found.columns.items()} if found else {}
        numbers = {split: each for split, each in values.items() if isinstance(each, NumericValues)}
        return Label(found.name, {}, numbers) if found and numbers else None
    counts: dict[str, dict[int, int]] = {}
    with contextlib.suppress(*UNREADABLE):
        folder = source.path("Transform", "transformed_examples")
        counts = {split: read_label_counts(folder, split) for split in rows}
    if not counts:
        return None
    names = dict(enumerate(map(str, label.get("classes") or ("0", "1"))))
    indices = sorted({index for each in counts.values() for index in each})
    shown = sorted(indices, key=lambda index: -sum(each.get(index, 0) for each in counts.values()))[:MAX_CLASSES]
    classes = {
        split: {
            names.get(index, "no class"): each.get(index, 0) / (sum(each.values()) or 1)
            for index in indices
            if index in shown
        }
        for split, each in counts.items()
    }
    return Label(str(label.get("name", "")), classes, {})


def _left_out(source: Source) -> Mapping[str, int]:
    with contextlib.suppress(*UNREADABLE):  # the files of the rows may have been deleted
        return read_left_out(source.path("ExampleGen", "examples"))
    return source.summary.left_out if source.summary else {}


def _feature(
    name: str, by_split: Mapping[str, Statistics], rows: Mapping[str, int], splits: Sequence[str], alpha: float
) -> Feature:
    """Describes a column. The other splits are compared with the first one."""
    columns = {split: _column(each, rows[split]) for split, each in by_split.items()}
    first = columns.get(splits[0])
    found = {split: shift(first, columns[split], alpha) for split in splits[1:] if first and split in columns}
    kind = statistics_pb2.FeatureNameStatistics.Type.Name(next(iter(by_split.values())).type)
    return Feature(name, kind, columns, {split: each for split, each in found.items() if each})


def _column(each: Statistics, rows: int) -> Sample:
    kind = each.WhichOneof("stats")
    common = getattr(each, kind).common_stats if kind else None
    present = int(common.num_non_missing) if common else 0
    values: NumericValues | StringValues | None = None
    if present and kind == "num_stats":
        values = numeric_values(each.num_stats, integers=each.type == Statistics.INT)
    elif present and kind == "string_stats":
        values = string_values(each.string_stats, present)
    return Sample(rows, rows - present, values)


def _name(each: Statistics) -> str:
    return ".".join(each.path.step) or each.name


SECTION = Section("data", "Data", read, absent="No statistics")
