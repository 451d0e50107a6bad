"""Executor of SeededCsvExampleGen."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import StandardOptions
from tfx.dsl.io import fileio
from tfx.utils import io_utils
from tfx_bsl.coders.csv_decoder import ColumnInfo, ColumnType, ColumnTypeInferrer

from custom_components.seeded_split import SeededSplitExecutor


class CsvToExamples(beam.PTransform):
    """Reads CSV files to tf.Examples, with the types that TFX's CsvExampleGen gives, in the table's order.

    An empty cell becomes an absent feature. TFX writes it as a feature without values, which counts as present: a
    schema's ``presence`` would then allow any number of empty cells.
    """

    def __init__(self, exec_properties: dict[str, Any], pattern: str) -> None:
        super().__init__()
        self._pattern = os.path.join(exec_properties["input_base"], pattern)

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        """Returns a collection of tf.Examples."""
        files = sorted(fileio.glob(self._pattern))
        if not files:
            raise ValueError(f"found no file that matches {self._pattern}; expected CSV files")
        names = io_utils.load_csv_column_names(files[0])
        # Dataflow would read all files in one worker, which it fuses with what lists them; it keeps no order anyway.
        spread = pipeline.pipeline.options.view_as(StandardOptions).runner == "DataflowRunner"
        rows = pipeline | beam.Create(files, reshuffle=spread) | beam.FlatMap(read_rows, len(names))
        types = rows | beam.CombineGlobally(ColumnTypeInferrer(names, skip_blank_lines=True))
        return rows | beam.Map(to_example, beam.pvalue.AsSingleton(types))


class Executor(SeededSplitExecutor):
    """Reads CSV, splits by a seeded hash of each row or of one of its columns, and keeps the rows' order."""

    def GetInputSourceToExamplePTransform(self) -> type[beam.PTransform]:
        """Returns what reads the table."""
        return CsvToExamples


def read_rows(path: str, columns: int) -> Iterator[list[bytes]]:
    """Yields the cells of each row of a CSV file behind its header, blank lines left out.

    Raises:
        ValueError: A row has more or fewer cells than ``columns``, or the text is not UTF-8.
    """
    with FileSystems.open(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        reader = csv.reader(text)
        next(reader)
        for cells in reader:
            if cells and len(cells) != columns:
                raise ValueError(
                    f"{path}: line {reader.line_num}: found {len(cells)} values; expected {columns}, as the header has"
                )
            if cells:
                yield [cell.encode() for cell in cells]


def to_example(cells: Sequence[bytes], columns: Sequence[ColumnInfo]) -> tf.train.Example:
    """A row as a tf.Example; an empty cell is left out."""
    features = {column.name: _feature(cell, column) for cell, column in zip(cells, columns, strict=True) if cell}
    return tf.train.Example(features=tf.train.Features(feature=features))


def _feature(cell: bytes, column: ColumnInfo) -> tf.train.Feature:
    if column.type == ColumnType.INT:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(cell)]))
    if column.type == ColumnType.FLOAT:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[float(cell)]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[cell]))
