"""Executor of ArrowExampleGen."""

import collections
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import Artifact
from tfx.types.standard_component_specs import INPUT_BASE_KEY

from artifacts.fingerprint import ContentDigest
from artifacts.nodes.left_out import NO_LABEL
from common.remote_paths import is_remote
from custom_components.arrow_example_gen.encoding import encode, to_bytes
from custom_components.arrow_example_gen.formats.dialect import Dialect
from custom_components.arrow_example_gen.formats.files import TableError, digest_of
from custom_components.arrow_example_gen.label_check import labeled_rows
from custom_components.arrow_example_gen.shards import Batch, ShardSink
from custom_components.arrow_example_gen.splits.choice import numbered_files, strategy_of
from custom_components.arrow_example_gen.splits.hash_split import HashSplit, WithTestTable
from custom_components.arrow_example_gen.splits.settings import SplitBy
from custom_components.arrow_example_gen.splits.strategy import Assignment, NumberedFile, Rows, Strategy
from custom_components.arrow_example_gen.table import RowChecks, Table, Types, merge_types
from custom_components.shared.beam_workers import has_several_workers
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.seeded_split import custom_options, examples_artifact, source_of, split_of_node

# Options of the node: the format and dialect of the files, what their cells mean, and the types that the schema names.
FORMAT, MISSING_VALUES, SCHEMA_TYPES, DIALECT = "format", "missing_values", "schema_types", "dialect"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the files of a table. CSV files with columns that the schema does not name are read twice, for their types.

    The column of a split by time, or of one that names the splits, is read in a separate pass.

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
        artifact, options = examples_artifact(output_dict, exec_properties), custom_options(exec_properties)
        by, split = SplitBy.of_options(options), split_of_node(exec_properties)
        files = files_of_node(exec_properties)
        table = _table(options, files[0].path)
        label_rows = LabelRows.from_options(options)
        table.check_has([name for name in (by.time, by.column) if name])
        sink = ShardSink(artifact.uri, split.names, files, exec_properties.get(FINGERPRINT_PROPERTY_NAME))
        with self._make_beam_pipeline() as pipeline:
            parts = pipeline | "Read" >> beam.Create(files, reshuffle=has_several_workers(pipeline.options))
            types = (
                parts | "InferTypes" >> beam.Map(types_of, table) | "MergeTypes" >> beam.CombineGlobally(merge_types)
            )
            assignment = assignment_of(parts, strategy_of(by, split, label_rows), table)
            batches = parts | "ToExamples" >> beam.FlatMap(
                batches_of, table, split.names, beam.pvalue.AsSingleton(types), assignment, label_rows
            )
            _ = batches | "Write" >> beam.io.Write(sink)


def files_of_node(exec_properties: Mapping[str, Any]) -> list[NumberedFile]:
    """The files of the table of a node whose driver has resolved the pattern, and of its test table.

    Raises:
        TableError: No file matches.
    """
    by = SplitBy.of_options(custom_options(exec_properties))
    paths = table_files(os.path.join(exec_properties[INPUT_BASE_KEY], source_of(exec_properties)))
    return numbered_files(paths, test_files(by.test, by.test_pattern) if by.test else ())


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


def test_files(path: str, pattern: str) -> list[str]:
    """The files of a test table: the file, or those of the folder that match the pattern."""
    return table_files(os.path.join(path, pattern) if fileio.isdir(path) else path)


def assignment_of(
    files: beam.PCollection, strategy: Strategy | HashSplit | WithTestTable, table: Table
) -> Assignment | beam.pvalue.AsSingleton:
    """What assigns rows to splits, after a pass over one column if that needs to see it first."""
    if isinstance(strategy, HashSplit | WithTestTable):
        return strategy
    surveyed = files | "Survey" >> beam.FlatMap(strategy.survey, table)
    start = files.pipeline | "Start" >> beam.Create([None])
    decided = start | "Decide" >> beam.Map(lambda _, parts: strategy.decide(parts, table), beam.pvalue.AsIter(surveyed))
    return beam.pvalue.AsSingleton(decided)


def batches_of(
    file: NumberedFile,
    table: Table,
    names: Sequence[str],
    types: Types,
    assignment: Assignment,
    label_rows: LabelRows | None = None,
) -> Iterator[Batch]:
    """Yields the rows of a file as serialized tf.Examples, and at the end the digest of the file.

    Raises:
        TableError: As in :meth:`.table.Table.read`, a value of the label stands for no class, or a row cannot be split.
    """
    before, number, digest, checks = 0, 0, ContentDigest(), RowChecks(table)
    for number, batch in enumerate(table.read(file.path, digest)):
        if isinstance(batch, list):
            decoded = checks.check(batch, file.path, before)
            columns = dict(zip(decoded.schema.names, decoded.columns, strict=True))
            rows = Rows(file, before, decoded, columns, batch)
        else:
            columns = table.to_columns(batch, types, file.path, before)
            rows = Rows(file, before, batch, columns, to_bytes(encode(columns)))
        chosen = assignment.choose(table, rows)
        if label_rows:
            labeled = labeled_rows(label_rows, columns, len(batch), table, file.path, before).to_pylist()
            chosen = [index if has else NO_LABEL for index, has in zip(chosen, labeled, strict=True)]
        left_out = collections.Counter(each for each in chosen if isinstance(each, str))
        yield Batch((file.number, number), _by_split(rows.encoded, chosen, names), left_out=left_out)
        before += len(batch)
    found = digest_of(file.path) if is_remote(file.path) else digest.result()
    yield Batch((file.number, number + 1), {}, found)


def _by_split(rows: Sequence[bytes], chosen: Sequence[int | str], names: Sequence[str]) -> dict[str, list[bytes]]:
    """Rows by split, without those that are left out."""
    found: dict[int | str, list[bytes]] = {index: [] for index in range(len(names))}
    for row, index in zip(rows, chosen, strict=True):
        found.setdefault(index, []).append(row)
    return {name: found[index] for index, name in enumerate(names)}


def _table(options: Mapping[str, Any], first: str) -> Table:
    types = {name: str(kind) for name, kind in dict(options.get(SCHEMA_TYPES) or {}).items()}
    missing = [str(each) for each in options.get(MISSING_VALUES) or ()]
    return Table.of(options[FORMAT], first, types, missing, Dialect(**dict(options.get(DIALECT) or {})))
