"""Executor of ArrowExampleGen."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import Artifact
from tfx.types.standard_component_specs import INPUT_BASE_KEY

from custom_components.arrow_example_gen.csv_types import Types, merge_types
from custom_components.arrow_example_gen.files import TableError
from custom_components.arrow_example_gen.shards import Batch, ShardSink
from custom_components.arrow_example_gen.splitting import split_columns, split_records
from custom_components.arrow_example_gen.table import Table, infer_types, to_columns
from custom_components.shared.beam_workers import has_several_workers
from custom_components.shared.seeded_split import Split, custom_options, examples_artifact, source_of

FORMAT = "format"  # the node's option that says what is in the files


class Part(NamedTuple):
    """A file, and its number in the table."""

    number: int
    path: str


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads a table's files for their rows, and CSV files before that for the types of their columns.

    Nothing is kept between, and batches go one after the other through one step of Beam's that reads and encodes rows.
    So memory does not grow with the table.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits as gzipped TFRecords, their rows in the table's order."""
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact, split = examples_artifact(output_dict, exec_properties), Split.of_node(exec_properties)
        paths = table_files(os.path.join(exec_properties[INPUT_BASE_KEY], source_of(exec_properties)))
        table = Table.of(custom_options(exec_properties)[FORMAT], paths[0])
        with self._make_beam_pipeline() as pipeline:
            files = [Part(number, path) for number, path in enumerate(paths)]
            parts = pipeline | "Read" >> beam.Create(files, reshuffle=has_several_workers(pipeline.options))
            types = (
                parts | "InferTypes" >> beam.Map(types_of, table) | "MergeTypes" >> beam.CombineGlobally(merge_types)
            )
            batches = parts | "ToExamples" >> beam.FlatMap(batches_of, table, split, beam.pvalue.AsSingleton(types))
            _ = batches | "Write" >> beam.io.Write(ShardSink(artifact.uri, split.names))


def table_files(pattern: str) -> list[str]:
    """The files of a table, in its order.

    Raises:
        TableError: There is none.
    """
    paths = sorted(path for path in fileio.glob(pattern) if not fileio.isdir(path))
    if not paths:
        raise TableError(f"found no file that matches {pattern}; expected at least one")
    return [str(path) for path in paths]


def types_of(part: Part, table: Table) -> Types:
    """The types of a file's columns."""
    return infer_types(table, part.path)


def batches_of(part: Part, table: Table, split: Split, types: Types) -> Iterator[Batch]:
    """Yields a file's rows as serialized tf.Examples."""
    before = 0
    for number, batch in enumerate(table.read(part.path)):
        if isinstance(batch, list):
            rows = split_records(batch, split, part.path, before)
        else:
            rows = split_columns(to_columns(batch, types), split)
        yield Batch((part.number, number), rows)
        before += len(batch)
