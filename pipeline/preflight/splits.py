"""Checks before a run that the table can be split, and that no split is empty."""

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2

from custom_components.arrow_example_gen.encoding import distinct, encode, encode_values, to_bytes
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.label_check import labeled_rows
from custom_components.arrow_example_gen.spans import files_of
from custom_components.arrow_example_gen.splits.cells import cells_of, read_column
from custom_components.arrow_example_gen.splits.choice import decide, numbered_files, strategy_of
from custom_components.arrow_example_gen.splits.hash_split import (
    HashSplit,
    WithTestTable,
    split_columns,
    split_of_group,
)
from custom_components.arrow_example_gen.splits.settings import SplitBy
from custom_components.arrow_example_gen.splits.strategy import NumberedFile
from custom_components.arrow_example_gen.table import Table, merge_types
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.split_hash import Split
from pipeline.config.errors import DataError
from pipeline.config.settings import SPLITS, Config
from pipeline.preflight.domains import feature_of
from pipeline.preflight.labels import label_rows
from pipeline.preflight.schema import column_types

# A split that the hash gives this many rows on average is empty with a probability of e**-50.
SURELY_NOT_EMPTY = 50


def split_by(config: Config, schema: schema_pb2.Schema) -> SplitBy:
    """What decides the split of a row. If the schema demands a value in the column, no row may lack one."""
    column = config.data.split_time or config.data.split_column
    required = column is not None and feature_of(schema, column).presence.min_fraction == 1
    return config.data.split_by(required)


def files_to_split(config: Config) -> list[NumberedFile]:
    """The files of the table, and after them those of the test table.

    Raises:
        TableError: No file matches, or a file is in both.
    """
    by = config.data.split_by()
    test = _test_files(by.test, by.test_pattern) if by.test else []
    return numbered_files(files_of(config.data.source), test)


def _test_files(path: str, pattern: str) -> list[str]:
    if not os.path.exists(path):
        raise TableError(f"{path}: found nothing; expected a file, or a folder of {pattern} files (data.test_path)")
    if not os.path.isdir(path):
        return [path]
    found = sorted(each for each in glob.glob(os.path.join(path, pattern), include_hidden=True) if os.path.isfile(each))
    if not found:
        raise TableError(
            f"{path}: found no file that matches {pattern}, the last part of data.pattern; expected at least one, or a "
            "file as data.test_path"
        )
    return found


def check_splits(config: Config, schema: schema_pb2.Schema, rows: int) -> None:
    """Checks that the table can be split, and that no split is empty. BigQuery tables are not read.

    Args:
        config: The settings.
        schema: The curated schema.
        rows: Number of rows of the table, without its test table.

    Raises:
        DataError: A row cannot be split, or a split is empty.
    """
    if config.data.bigquery:
        return
    source = config.data.source
    try:
        files = files_to_split(config)
        table = Table.of(source.format, files[0].path, column_types(schema), source.missing_values, source.dialect)
        _check_splits(config, schema, table, files, rows)
    except TableError as error:
        raise DataError(str(error)) from error


def _check_splits(
    config: Config, schema: schema_pb2.Schema, table: Table, files: Sequence[NumberedFile], rows: int
) -> None:
    by, labels = split_by(config, schema), label_rows(config, schema)
    weights = [getattr(config.data.splits, name) for name in SPLITS]
    split = Split(SPLITS, tuple(itertools.accumulate(weights)), config.data.split_seed, by.key)
    strategy = strategy_of(by, split, labels)
    if not isinstance(strategy, HashSplit | WithTestTable):
        decide(strategy, files, table)
        return
    if by.test:
        split = split.first(len(SPLITS) - 1)
    hashed = [file for file in files if not file.is_test]
    if split.key:
        where, unit = f"{hashed[0].path}: column {shown(split.key)}", "groups"
        missing, count = _missing(_groups(table, hashed, split, labels), split)
        if missing and table.columns is not None:  # rows without a group have a split of their own
            missing, _ = _missing(_rows(table, hashed, split, labels), split)
    else:
        where, unit = hashed[0].path, "rows"
        expected = rows * min(split.weights) / split.bounds[-1]
        if expected >= SURELY_NOT_EMPTY or table.columns is None:
            return
        missing, count = _missing(_rows(table, hashed, split, labels), split)
    if missing:
        names = " and ".join(split.names[index] for index in sorted(missing))
        have = "split has" if len(missing) == 1 else "splits have"
        raise TableError(
            f"{where}: the {names} {have} no rows: found {count} {unit}; expected more, other sizes in data.splits, "
            "or another data.split_seed"
        )


def _missing(found: Iterable[int], split: Split) -> tuple[set[int], int]:
    """The splits that the hash never chose, and how many times it chose one. Stops when it has chosen each."""
    missing, count = set(range(len(split.names))), 0
    for index in found:
        count += 1
        missing.discard(index)
        if not missing:
            break
    return missing, count


def _groups(table: Table, files: Sequence[NumberedFile], split: Split, labels: LabelRows) -> Iterator[int]:
    """Yields the index of the split of each group."""
    assert split.key is not None
    seen: set[bytes] = set()
    types = {} if split.key in table.schema_types else merge_types(table.infer_types(file.path) for file in files)
    for file in files:
        for read in read_column(table, file.path, split.key, labels):
            if table.columns is not None:
                values = table.to_columns(read.batch.select([split.key]), types, file.path, read.before)[split.key]
            else:
                values = cells_of(table, read.batch, split.key, file.path, read.before)
            groups = dict.fromkeys(encode_values(split.key, distinct(values.filter(pa.array(read.labeled)))[0]))
            new = [group for group in groups if group and group not in seen]
            seen.update(new)
            yield from (split_of_group(group, split) for group in new)


def _rows(table: Table, files: Sequence[NumberedFile], split: Split, labels: LabelRows) -> Iterator[int]:
    """Yields the index of the split of each row."""
    types = merge_types(table.infer_types(file.path) for file in files)
    for file in files:
        before = 0
        for batch in table.read(file.path):
            assert isinstance(batch, pa.RecordBatch)
            columns = table.to_columns(batch, types, file.path, before)
            labeled = labeled_rows(labels, columns, len(batch), table, file.path, before)
            columns = {name: column.filter(labeled) for name, column in columns.items()}
            yield from split_columns(columns, to_bytes(encode(columns)), split)
            before += len(batch)
