"""Executor of ArrowExampleGen."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import Artifact
from tfx.types.standard_component_specs import INPUT_BASE_KEY

from custom_components.arrow_example_gen.batch_splits import split_columns, split_records
from custom_components.arrow_example_gen.formats.csv_types import Types, merge_types
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.shards import Batch, ShardSink
from custom_components.arrow_example_gen.table import Table, infer_types, to_columns
from custom_components.shared.beam_workers import has_several_workers
from custom_components.shared.seeded_split import Split, custom_options, examples_artifact, source_of

FORMAT = "format"  # the option with the format of the files


class NumberedFile(NamedTuple):
    """A file and its position in the table."""

    number: int
    path: str


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the files of a table. CSV files are read twice: first to infer the types of their columns.

    Batches pass one at a time through one Beam step that reads and encodes rows, so memory does not grow with the
    table.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits as gzipped TFRecords, with the rows in the table's order."""
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact, split = examples_artifact(output_dict, exec_properties), Split.of_node(exec_properties)
        paths = table_files(os.path.join(exec_properties[INPUT_BASE_KEY], source_of(exec_properties)))
        table = Table.of(custom_options(exec_properties)[FORMAT], paths[0])
        with self._make_beam_pipeline() as pipeline:
            files = [NumberedFile(number, path) for number, path in enumerate(paths)]
            parts = pipeline | "Read" >> beam.Create(files, reshuffle=has_several_workers(pipeline.options))
            types = (
                parts | "InferTypes" >> beam.Map(types_of, table) | "MergeTypes" >> beam.CombineGlobally(merge_types)
            )
            batches = parts | "ToExamples" >> beam.FlatMap(batches_of, table, split, beam.pvalue.AsSingleton(types))
            _ = batches | "Write" >> beam.io.Write(ShardSink(artifact.uri, split.names))


def table_files(pattern: str) -> list[str]:
    """The files of a table, sorted by path.

    Raises:
        TableError: No file matches.
    """
    paths = sorted(path for path in fileio.glob(pattern) if not fileio.isdir(path))
    if not paths:
        raise TableError(f"found no file that matches {pattern}; expected at least one")
    return [str(path) for path in paths]


def types_of(file: NumberedFile, table: Table) -> Types:
    """Infers the types of a file's columns."""
    return infer_types(table, file.path)


def batches_of(file: NumberedFile, table: Table, split: Split, types: Types) -> Iterator[Batch]:
    """Yields the rows of a file as serialized tf.Examples."""
    before = 0
    for number, batch in enumerate(table.read(file.path)):
        if isinstance(batch, list):
            rows = split_records(batch, split, file.path, before)
        else:
            rows = split_columns(to_columns(batch, types), split)
        yield Batch((file.number, number), rows)
        before += len(batch)
