"""Reads the table before a run, and rejects a table that cannot be used."""

from pathlib import Path
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import schema_pb2

from artifacts.fingerprint import ContentDigest
from custom_components.arrow_example_gen.formats.csv_header import other_delimiter, wrong_delimiter
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.splits.strategy import fingerprint_of
from custom_components.arrow_example_gen.table import RowChecks, Table, merge_types
from pipeline.config.errors import DataError, unknown_name
from pipeline.config.settings import Config
from pipeline.preflight.dates import DateCounts
from pipeline.preflight.labels import LabelCounts, LabelSummary
from pipeline.preflight.lists import ListCheck
from pipeline.preflight.schema import column_types
from pipeline.preflight.splits import files_to_split
from pipeline.preflight.weights import WeightCheck


class CheckedTable(NamedTuple):
    """A table that passed all checks.

    Attributes:
        rows: Number of rows, or 0 for BigQuery.
        fingerprint: Fingerprint of the files' content. ``None`` for BigQuery.
        labels: What the column of the label has. ``None`` for BigQuery.
        notes: Lines that describe the columns that have no name of their own in the files, and those that are not read.
        test_rows: How many of the rows are in the test table.
        warnings: Lines about values that are no dates.
    """

    rows: int = 0
    fingerprint: str | None = None
    labels: LabelSummary | None = None
    notes: tuple[str, ...] = ()
    test_rows: int = 0
    warnings: tuple[str, ...] = ()


UNREAD = CheckedTable()


def check_table(config: Config, schema: schema_pb2.Schema) -> CheckedTable:
    """Reads every data file once, in constant memory, as ExampleGen does. BigQuery tables are not read.

    Args:
        config: The settings.
        schema: The curated schema, whose types the values must have.

    Raises:
        DataError: The folder is missing or has no rows, the columns differ or lack the label, a file cannot be read,
            a value has another type than in the schema, or is not one of the label's classes, or most values of a date
            are none. One line with the file and the row.
    """
    if config.data.bigquery:
        return UNREAD
    _check_folder(Path(config.data.path), config.data.pattern)
    try:
        return _check_files(config, schema)
    except TableError as error:
        raise DataError(str(error)) from error


def _check_folder(folder: Path, pattern: str) -> None:
    try:
        is_dir = folder.is_dir()
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; expected a readable folder (data.path or --data)") from error
    if not is_dir:
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: found {found}; expected a folder of {pattern} files (data.path or --data)")


def _check_files(config: Config, schema: schema_pb2.Schema) -> CheckedTable:
    source, files = config.data.source, files_to_split(config)
    table = Table.of(source.format, files[0].path, column_types(schema), source.missing_values, source.dialect)
    for file in files:
        table.check_columns(file.path)
    if not table.is_text:
        merge_types(table.infer_types(file.path) for file in files)
    if table.columns is not None:  # TFRecord files do not list their columns
        _check_needed_columns(config, table)
    weight = config.data.weight_column
    single = {*config.features.columns, *config.label.columns, *([weight] if weight else [])}
    single -= config.features.list_lengths.keys()
    rows = dict.fromkeys((file.is_test for file in files), 0)
    digests, checks = {}, RowChecks(table, single)
    labels, weights, dates = LabelCounts(config, schema, table), WeightCheck(weight, table), DateCounts(config, table)
    lists = ListCheck(config, table)
    for file in files:
        digest, before = ContentDigest(), 0
        for batch in table.read(file.path, digest):
            columns = checks.check(batch, file.path, before)
            labeled = labels.add(columns, file.path, before)
            weights.add(columns, labeled, file.path, before)
            dates.add(columns, file.path, before)
            lists.add(columns, file.path, before)
            before += len(batch)
        rows[file.is_test] += before
        digests[file.number] = digest.result()
    for is_test, count in rows.items():
        if not count:
            first = next(file.path for file in files if file.is_test == is_test)
            found = "a header and no rows" if table.is_text else "no rows"
            raise DataError(f"{first}: found {found}; expected at least one row")
    weights.finish()
    lists.finish()
    return CheckedTable(
        sum(rows.values()),
        fingerprint_of(files, digests),
        labels.summary,
        table.column_notes(),
        rows.get(True, 0),
        tuple(dates.finish()),
    )


def _check_needed_columns(config: Config, table: Table) -> None:
    """Checks that the table has the columns of the label and of the split."""
    header = f"{table.first}: line 1" if table.is_text else table.first
    needed = [("label column", column) for column in config.label.columns]
    settings = ("split_key", "split_time", "split_column", "weight_column")
    needed += [(f"data.{key}", column) for key in settings if (column := getattr(config.data, key))]
    for kind, column in needed:
        if column in table.columns:
            continue
        delimiter = table.dialect.delimiter
        if table.is_text and (other := other_delimiter(table.columns, delimiter)):
            raise DataError(f"{header}: {wrong_delimiter(other, delimiter)}")
        raise DataError(unknown_name(header, kind, column, table.columns))
