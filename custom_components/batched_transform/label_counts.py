"""Counts the rows of each class in a split."""

import collections
import os
from collections.abc import Iterable

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from tfx.dsl.io import fileio

from artifacts.nodes.label_counts import label_counts_json

Counts = dict[int, int]


class CountLabels(beam.PTransform):
    """Writes the number of rows by class to a file."""

    def __init__(self, label: str, path: str) -> None:
        """Creates the transform.

        Args:
            label: Name of the transformed label, integers.
            path: The file.
        """
        super().__init__()
        self._label, self._path = label, path

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """Counts the rows of record batches."""
        counts = batches | "Count" >> beam.Map(count, self._label)
        return counts | "Add" >> beam.CombineGlobally(add) | "Write" >> beam.Map(write, self._path)


def count(batch: pa.RecordBatch, label: str) -> Counts:
    """Number of rows of a batch by class."""
    found = pc.value_counts(pc.list_flatten(batch.column(label)))
    return {each["values"]: each["counts"] for each in found.to_pylist()}


def add(parts: Iterable[Counts]) -> Counts:
    """The sum of numbers of rows.

    >>> add([{0: 1}, {0: 2, 1: 1}])
    {0: 3, 1: 1}
    """
    total: collections.Counter[int] = collections.Counter()
    for part in parts:
        total.update(part)
    return dict(total)


def write(counts: Counts, path: str) -> None:
    """Writes the numbers of rows to a file, local or remote."""
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "w") as file:
        file.write(label_counts_json(counts))
