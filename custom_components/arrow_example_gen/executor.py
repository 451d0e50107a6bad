"""Executor of ArrowExampleGen."""

import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import Artifact
from tfx.types.standard_component_specs import INPUT_BASE_KEY

from artifacts.fingerprint import ContentDigest
from artifacts.left_out import NO_LABEL
from common.remote_paths import is_remote
from custom_components.arrow_example_gen.batch_splits import split_columns, split_records
from custom_components.arrow_example_gen.formats.dialect import Dialect
from custom_components.arrow_example_gen.formats.files import TableError, digest_of
from custom_components.arrow_example_gen.label_check import labeled_rows
from custom_components.arrow_example_gen.shards import Batch, ShardSink
from custom_components.arrow_example_gen.table import Columns, RowChecks, Table, Types, merge_types
from custom_components.shared.beam_workers import has_several_workers
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.seeded_split import Split, custom_options, examples_artifact, source_of

# Options of the node: the format and dialect of the files, what their cells mean, and the types that the schema names.
FORMAT, MISSING_VALUES, SCHEMA_TYPES, DIALECT = "format", "missing_values", "schema_types", "dialect"


class NumberedFile(NamedTuple):
    """A file and its position in the table."""

    number: int
    path: str


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the files of a table. CSV files with columns that the schema does not name are read twice, for their types.

    Batches pass one at a time through one Beam step that reads and encodes rows, so memory does not grow with the
    table.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits as gzipped TFRecords, with the rows in the table's order.

        Raises:
            TableError: A file cannot be read, or its content is not the one of the driver's fingerprint.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact, split = examples_artifact(output_dict, exec_properties), Split.of_node(exec_properties)
        paths = table_files(os.path.join(exec_properties[INPUT_BASE_KEY], source_of(exec_properties)))
        table = _table(custom_options(exec_properties), paths[0])
        label_rows = LabelRows.from_options(custom_options(exec_properties))
        sink = ShardSink(artifact.uri, split.names, paths, exec_properties.get(FINGERPRINT_PROPERTY_NAME))
        with self._make_beam_pipeline() as pipeline:
            files = [NumberedFile(number, path) for number, path in enumerate(paths)]
            parts = pipeline | "Read" >> beam.Create(files, reshuffle=has_several_workers(pipeline.options))
            types = (
                parts | "InferTypes" >> beam.Map(types_of, table) | "MergeTypes" >> beam.CombineGlobally(merge_types)
            )
            batches = parts | "ToExamples" >> beam.FlatMap(
                batches_of, table, split, beam.pvalue.AsSingleton(types), label_rows
            )
            _ = batches | "Write" >> beam.io.Write(sink)


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
    """Finds the types of a file's columns, as far as they need to be known before the rows are read."""
    return table.infer_types(file.path)


def batches_of(
    file: NumberedFile, table: Table, split: Split, types: Types, label_rows: LabelRows | None = None
) -> Iterator[Batch]:
    """Yields the rows of a file as serialized tf.Examples, and at the end the digest of the file.

    Raises:
        TableError: As in :meth:`.table.Table.read`, or a value of the label stands for no class.
    """
    before, number, digest, checks = 0, 0, ContentDigest(), RowChecks(table)
    for number, batch in enumerate(table.read(file.path, digest)):
        if isinstance(batch, list):
            decoded = checks.check(batch, file.path, before)
            columns = dict(zip(decoded.schema.names, decoded.columns, strict=True))
        else:
            columns = table.to_columns(batch, types, file.path, before)
        kept = labeled_rows(label_rows, columns, len(batch), table, file.path, before) if label_rows else None
        if isinstance(batch, list):
            records = list(itertools.compress(batch, kept.to_pylist())) if kept is not None else batch
            rows = split_records(records, split, file.path, before)
        else:
            rows = split_columns(columns if kept is None else _filtered(columns, kept), split)
        unlabeled = kept.false_count if kept is not None else 0
        yield Batch((file.number, number), rows, left_out={NO_LABEL: unlabeled} if unlabeled else {})
        before += len(batch)
    found = digest_of(file.path) if is_remote(file.path) else digest.result()
    yield Batch((file.number, number + 1), {}, found)


def _filtered(columns: Columns, kept: pa.BooleanArray) -> Columns:
    return {name: each.filter(kept) for name, each in columns.items()} if kept.false_count else columns


def _table(options: Mapping[str, Any], first: str) -> Table:
    types = {name: str(kind) for name, kind in dict(options.get(SCHEMA_TYPES) or {}).items()}
    missing = [str(each) for each in options.get(MISSING_VALUES) or ()]
    return Table.of(options[FORMAT], first, types, missing, Dialect(**dict(options.get(DIALECT) or {})))
