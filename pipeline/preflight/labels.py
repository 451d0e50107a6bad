"""Checks the label against the schema and counts its classes in the table."""

import collections
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from custom_components.arrow_example_gen.label_check import labeled_rows
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows, first_values
from models.problem.class_values import numeric_values, text_values
from models.problem.problem import Problem
from pipeline.config.errors import ConfigError, UserError
from pipeline.config.settings import Config
from pipeline.preflight.domains import BYTES, FLOAT, INT, Domain, domain_of, feature_of

MIN_CLASSES = 2
MAX_SHOWN = 12  # classes in a message, at most
OTHER = -1  # index of values that stand for no class


def check_label(config: Config, schema: schema_pb2.Schema, settings: Path) -> None:
    """Checks that the columns of the label have a type that suits the task, and a domain that allows its classes.

    Args:
        config: The settings.
        schema: The curated schema, which has the columns.
        settings: The YAML file, for errors.

    Raises:
        ConfigError: One line for the first column that fails.
    """
    label = config.label
    is_number = bool(label.above) or config.task == "regression"
    allowed = (INT, FLOAT, BYTES) if label.classes and not is_number else (INT, FLOAT)
    for key, column in zip(("label.column", "label.above.of"), label.columns, strict=False):
        found = feature_of(schema, column).type
        if found not in allowed:
            names = " or ".join(schema_pb2.FeatureType.Name(each) for each in allowed)
            hint = "" if is_number else ": name the classes in label.classes"
            name = schema_pb2.FeatureType.Name(found)
            raise ConfigError(f"{settings}: {key}: the schema has type {name} for '{column}'; expected {names}{hint}")
    if not is_number:
        _check_classes(config.problem, schema, settings)


def label_rows(config: Config, schema: schema_pb2.Schema) -> LabelRows:
    """What a row must have in the columns of the label, according to the schema.

    If the schema has no domain, or one with other values, the classes limit the column.
    """
    label = config.label
    features = [feature_of(schema, column) for column in label.columns]
    is_class = config.task != "regression" and not label.above
    return LabelRows(
        column=label.column,
        classes=config.problem.class_names if is_class and not _is_limited(config.problem, schema) else (),
        absent=tuple(each.name for each in features if each.presence.min_fraction < 1),
        undefined=tuple(each.name for each in features if each.type == FLOAT and not each.float_domain.disallow_nan),
    )


@dataclasses.dataclass(frozen=True)
class LabelSummary:
    """What a table has in the column of the label.

    Attributes:
        rows: Number of rows that are used. Includes rows without a label if the schema demands one.
        unlabeled: Number of rows that are left out because they have no label.
        classes: Number of rows by class, or empty for a regression.
        others: Number of rows whose value stands for no class, which the anomaly gate will find.
        ends: The smallest and the largest value for a regression, or empty if there is none.
    """

    rows: int
    unlabeled: int
    classes: Mapping[str, int]
    others: int
    ends: tuple[float, ...]

    @property
    def shown(self) -> str:
        """The classes with their numbers of rows, for messages."""
        parts = [f"{name} {count:,}" for name, count in list(self.classes.items())[:MAX_SHOWN]]
        return ", ".join([*parts, *(["…"] if len(self.classes) > MAX_SHOWN else [])])


def check_summary(config: Config, summary: LabelSummary) -> list[str]:
    """Checks that a table can be learned from, and returns warnings about its label, one line each.

    Raises:
        UserError: No row has a label, or all have the same. One line with the counts.
    """
    where = f"{config.data.path}: column '{config.label.column}'"
    is_number = config.task == "regression"
    if not (summary.ends if is_number else summary.others or any(summary.classes.values())):
        rows = summary.rows + summary.unlabeled
        raise UserError(f"{where}: found no label in any of {rows:,} rows; expected some with one")
    if is_number:
        low, high = summary.ends
        if low == high:
            raise UserError(f"{where}: found {low:g} in all of {summary.rows:,} rows; expected different values")
        return []
    if summary.others:
        return []
    if sum(count > 0 for count in summary.classes.values()) < MIN_CLASSES:
        raise UserError(f"{where}: found rows of one class only ({summary.shown}); expected rows of at least two")
    absent = [name for name, count in summary.classes.items() if not count]
    if not absent:
        return []
    names = " or ".join(absent[:MAX_SHOWN])
    return [f"label.classes: no row has {names} ({summary.shown}), so the model cannot learn it"]


class LabelCounts:
    """Counts the rows of each class while the table is read."""

    def __init__(self, config: Config, schema: schema_pb2.Schema, table: Table) -> None:
        """Starts with no rows."""
        self._problem = config.problem
        self._rows = label_rows(config, schema)
        self._table = table
        self._counts: collections.Counter[int] = collections.Counter()
        self._ends: tuple[float, ...] = ()
        self._labeled = self._unlabeled = 0

    def add(self, batch: pa.RecordBatch, path: str, before: int) -> pa.BooleanArray:
        """Counts a batch, and returns which of its rows have a label.

        Args:
            batch: Rows of a file, as :meth:`custom_components.arrow_example_gen.table.RowChecks.check` returns them.
            path: The file, for errors.
            before: Number of rows before these in the file.

        Raises:
            TableError: A value stands for no class. The message has its line.
        """
        names = [name for name in self._problem.label.columns if name in batch.schema.names]
        columns = self._table.to_columns(batch.select(names), {}, path, before)
        kept = labeled_rows(self._rows, columns, len(batch), self._table, path, before)
        self._labeled += kept.true_count
        self._unlabeled += kept.false_count
        if len(columns) == len(self._problem.label.columns):
            self._count({name: first_values(column).filter(kept) for name, column in columns.items()})
        return kept

    @property
    def summary(self) -> LabelSummary:
        """The counts of all batches."""
        names = self._problem.class_names
        classes = {name: self._counts[index] for index, name in enumerate(names)}
        return LabelSummary(self._labeled, self._unlabeled, classes, self._counts[OTHER], self._ends)

    def _count(self, values: Mapping[str, pa.Array]) -> None:
        label = self._problem.label
        column = values[label.column]
        if self._problem.task == "regression":
            known = [float(each) for each in pc.min_max(column).as_py().values() if each is not None]
            self._ends = (min(*self._ends, *known), max(*self._ends, *known)) if known else self._ends
        elif label.above:
            numbers = {name: np.asarray(each.cast(pa.float32(), safe=False)) for name, each in values.items()}
            threshold = np.full(len(column), label.above.value, np.float32)
            if label.above.of:
                threshold = np.float32(label.above.fraction) * numbers[label.above.of]
            present = np.isfinite(numbers[label.column]) & np.isfinite(threshold)
            positive = np.count_nonzero(present & (numbers[label.column] > threshold))
            self._counts.update({0: np.count_nonzero(present) - positive, 1: positive})
        else:
            self._counts.update(_classes(column, self._problem.class_names))


def _classes(column: pa.Array, names: tuple[str, ...]) -> Mapping[int, int]:
    """Number of rows by class, or by :data:`OTHER`. Missing values are not counted."""
    known: dict[object, int] = {}
    if pa.types.is_integer(column.type):
        known.update(numeric_values(names).items())
    elif pa.types.is_floating(column.type):
        known = {float(np.float32(number)): index for number, index in numeric_values(names).items()}
    else:
        known = {text.encode(): index for text, index in text_values(names).items()}
    found: collections.Counter[int] = collections.Counter()
    for pair in pc.value_counts(column.drop_null()).to_pylist():
        found[known.get(pair["values"], OTHER)] += pair["counts"]
    return found


def _check_classes(problem: Problem, schema: schema_pb2.Schema, settings: Path) -> None:
    """Checks that the domain, if there is one, allows classes of the label and no other text."""
    column, classes = problem.label.column, problem.class_names
    kind, domain = feature_of(schema, column).type, domain_of(schema, column)
    key = f"{settings}: label.column"
    if kind == BYTES:
        if not set(domain.values) <= set(text_values(classes)):
            found = ", ".join(domain.values)
            raise ConfigError(
                f"{key}: the schema limits '{column}' to {found}; expected a domain with the label's classes "
                f"{', '.join(classes)}, or some of them, or no domain"
            )
        return
    try:
        numbers = numeric_values(classes)
    except ValueError as error:
        name = schema_pb2.FeatureType.Name(kind)
        raise ConfigError(
            f"{settings}: label.classes: {error}; the schema has type {name} for '{column}': expected its numbers, or "
            "the type BYTES"
        ) from error
    if kind == INT and (fractions := [number for number in numbers if not isinstance(number, int)]):
        raise ConfigError(f"{settings}: label.classes: found {fractions[0]}; expected integers, as in the schema")
    if sum(_allows(domain, number) for number in numbers) < MIN_CLASSES:
        found = ", ".join(domain.values) or domain.range
        raise ConfigError(
            f"{key}: the schema limits '{column}' to {found}; expected a domain with the label's classes "
            f"{', '.join(classes)}, or some of them, or no domain"
        )


def _allows(domain: Domain, number: float) -> bool:
    return str(number) in domain.values if domain.values else domain.min <= number <= domain.max


def _is_limited(problem: Problem, schema: schema_pb2.Schema) -> bool:
    """Whether the schema's domain alone keeps other values out, so that the anomaly gate finds them."""
    column = problem.label.column
    kind, domain = feature_of(schema, column).type, domain_of(schema, column)
    if kind == BYTES:
        return bool(domain.values)
    numbers = numeric_values(problem.class_names)
    if domain.values:
        return {int(value) for value in domain.values} <= set(numbers)
    if kind != INT or domain.max - domain.min >= len(numbers):
        return False
    return set(range(int(domain.min), int(domain.max) + 1)) <= set(numbers)
