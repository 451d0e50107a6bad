"""Executor of SeededCsvExampleGen."""

import bisect
import csv
import hashlib
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import StandardOptions
from google.protobuf import struct_pb2
from tfx.components.example_gen import base_example_gen_executor
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_component_specs import EXAMPLES_KEY
from tfx.utils import io_utils, proto_utils
from tfx_bsl.coders.csv_decoder import ColumnInfo, ColumnType, ColumnTypeInferrer


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


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Reads CSV, splits by a seeded hash of each row or of one of its columns, and keeps the rows' order."""

    def GetInputSourceToExamplePTransform(self) -> type[beam.PTransform]:
        """Returns what reads the table."""
        return CsvToExamples

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Returns a collection of tf.Examples by split name."""
        source = proto_utils.json_to_proto(exec_properties["input_config"], example_gen_pb2.Input())
        output = proto_utils.json_to_proto(exec_properties["output_config"], example_gen_pb2.Output())
        custom = proto_utils.json_to_proto(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
        options = struct_pb2.Struct()
        custom.custom_config.Unpack(options)
        splits = output.split_config.splits
        bounds = list(itertools.accumulate(split.hash_buckets for split in splits))
        read = self.GetInputSourceToExamplePTransform()
        parts = (
            pipeline
            | "ReadCsv" >> read(exec_properties, source.splits[0].pattern)
            | "Split" >> beam.Partition(split_index, len(bounds), bounds, int(options["seed"]), options["key"])
        )
        return dict(zip([split.name for split in splits], parts, strict=True))

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits as gzipped TFRecords, their rows in the table's order.

        TFX shuffles them by an unseeded random number. All that is computed behind it then depends on chance: sums in
        floating point by the last bit, and with them the Transform graph, and the model by the order of its batches.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[EXAMPLES_KEY])
        examples_utils.set_payload_format(artifact, exec_properties["output_data_format"])
        with self._make_beam_pipeline() as pipeline:
            splits = self.GenerateExamplesByBeam(pipeline, exec_properties)
            artifact.split_names = artifact_utils.encode_split_names(list(splits))
            for name, examples in splits.items():
                prefix = os.path.join(artifact_utils.get_split_uri([artifact], name), "data_tfrecord")
                (
                    examples
                    | f"Serialize[{name}]" >> beam.Map(serialize)
                    | f"Write[{name}]" >> beam.io.WriteToTFRecord(prefix, file_name_suffix=".gz")
                )


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


def serialize(example: tf.train.Example) -> bytes:
    """A row's bytes, the same ones each time: the features in the order of their names."""
    return bytes(example.SerializeToString(deterministic=True))


def split_index(example: tf.train.Example, partitions: int, bounds: Sequence[int], seed: int, key: str | None) -> int:
    """Index of the split that a row falls into.

    Args:
        example: The row.
        partitions: Number of splits.
        bounds: Running totals of the splits' shares, one a split.
        seed: Mixed into the hash.
        key: Column to hash; ``None`` hashes the whole row, and so does a row that lacks the column: it belongs
            to no known group.
    """
    assert partitions == len(bounds)
    group = example.features.feature.get(key) if key else None
    hashed = example if group is None else group
    text = f"{seed}:".encode() + hashed.SerializeToString(deterministic=True)
    bucket = int.from_bytes(hashlib.sha256(text).digest()) % bounds[-1]
    return bisect.bisect(bounds, bucket)
