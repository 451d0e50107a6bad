"""Leaves tf.Examples without a label out of all splits, for ExampleGens that read row by row."""

import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems

from artifacts.nodes.left_out import NO_LABEL
from custom_components.anomaly_gate.anomaly import Anomaly, DataAnomaliesError
from custom_components.shared.label_rows import LabelRows, value_text
from custom_components.shared.left_out import write_left_out
from models.problem.class_values import numeric_values, text_values

OTHERS_FILE = "other_labels.json"  # from the pipeline to the executor
MAX_OTHERS = 10  # distinct values that are counted, of those that stand for no class

Value = float | int | bytes | None


class LabelCounts(NamedTuple):
    """Numbers of rows.

    Attributes:
        unlabeled: Rows without a label.
        others: Rows by value, for values that stand for no class.
    """

    unlabeled: int
    others: Mapping[str, int]


def keep_labeled(examples: beam.PCollection, rows: LabelRows, folder: str) -> beam.PCollection:
    """Returns the examples with a label, and writes how many others there are to a file.

    Args:
        examples: tf.Examples.
        rows: What an example must have.
        folder: Folder of the artifact.
    """
    counts = examples | "CountLabels" >> beam.CombineGlobally(CountLabels(rows))
    _ = counts | "WriteLabelCounts" >> beam.Map(_write, folder)
    return examples | "KeepLabeled" >> beam.Filter(is_labeled, rows)


def is_labeled(example: tf.train.Example, rows: LabelRows) -> bool:
    """Whether a row has all values that its label is computed from."""
    is_absent = any(_value(example, name) in (None, b"") for name in rows.absent)
    return not is_absent and not any(_is_undefined(_value(example, name)) for name in rows.undefined)


class CountLabels(beam.CombineFn):
    """Counts rows without a label, and those whose value stands for no class."""

    def __init__(self, rows: LabelRows) -> None:
        """Creates the combiner."""
        self._rows = rows

    def create_accumulator(self) -> LabelCounts:
        """Counts of no rows."""
        return LabelCounts(0, {})

    def add_input(self, counts: LabelCounts, example: tf.train.Example) -> LabelCounts:
        """Adds a row."""
        value = _value(example, self._rows.column)
        if not is_labeled(example, self._rows):
            return LabelCounts(counts.unlabeled + 1, counts.others)
        if value is None or not self._rows.classes or _is_class(value, self._rows.classes):
            return counts
        return self.merge_accumulators([counts, LabelCounts(0, {value_text(value): 1})])

    def merge_accumulators(self, accumulators: Iterable[LabelCounts]) -> LabelCounts:
        """Adds up counts."""
        unlabeled, others = 0, dict[str, int]()
        for each in accumulators:
            unlabeled += each.unlabeled
            for value, count in each.others.items():
                if value in others or len(others) < MAX_OTHERS:
                    others[value] = others.get(value, 0) + count
        return LabelCounts(unlabeled, others)

    def extract_output(self, counts: LabelCounts) -> LabelCounts:
        """The counts."""
        return counts


def _write(counts: LabelCounts, folder: str) -> None:
    if counts.unlabeled:
        write_left_out(folder, {NO_LABEL: counts.unlabeled})
    with FileSystems.create(FileSystems.join(folder, OTHERS_FILE), "application/json") as file:
        file.write(json.dumps(counts.others).encode())


def check_label_counts(folder: str, rows: LabelRows) -> None:
    """Refuses values that stand for no class, after the pipeline has counted them.

    Raises:
        DataAnomaliesError: There are such values.
    """
    path = FileSystems.join(folder, OTHERS_FILE)
    with FileSystems.open(path) as file:
        others: Mapping[str, int] = json.loads(file.read())
    FileSystems.delete([path])
    if others:
        found = ", ".join(f"'{value}' in {count:,} rows" for value, count in others.items())
        allowed = f"the label's classes {', '.join(rows.classes)}"
        raise DataAnomaliesError([Anomaly("all", rows.column, found, allowed)])


def _value(example: tf.train.Example, name: str) -> Value:
    feature = example.features.feature.get(name)
    kind = feature.WhichOneof("kind") if feature is not None else None
    values: list[Any] = list(getattr(feature, kind).value) if kind else []
    return values[0] if values else None


def _is_undefined(value: Value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _is_class(value: float | int | bytes, classes: tuple[str, ...]) -> bool:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") in _texts(classes)
    return value in (_floats if isinstance(value, float) else _numbers)(classes)


@functools.cache
def _texts(classes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(text_values(classes))


@functools.cache
def _numbers(classes: tuple[str, ...]) -> frozenset[int | float]:
    return frozenset(numeric_values(classes))


@functools.cache
def _floats(classes: tuple[str, ...]) -> frozenset[int | float]:
    """The numbers, and what is left of each in a float32."""
    numbers = _numbers(classes)
    return numbers | {float(np.float32(number)) for number in numbers}
