"""Reads the table before any component runs, and refuses one that is none."""

from pathlib import Path

from custom_components.arrow_example_gen.files import TableError
from custom_components.arrow_example_gen.spans import files_of
from custom_components.arrow_example_gen.table import Table
from pipeline.config.errors import UserError, unknown_name
from pipeline.config.settings import Config


class DataError(UserError):
    """Data that cannot be read as the table that the settings describe."""


def check_table(config: Config) -> int:
    """Reads every data file once, in constant memory, as ExampleGen will; BigQuery checks its own.

    Returns:
        The number of rows; 0 of a query's.

    Raises:
        DataError: No such folder, no file or no row in it, columns that differ or lack the label, or a file that
            cannot be read; one line with the file and, where there is one, the row.
    """
    if config.data.bigquery:
        return 0
    _check_folder(Path(config.data.path), config.data.pattern)
    try:
        return _check_files(config)
    except TableError as error:
        raise DataError(str(error)) from error


def _check_folder(folder: Path, pattern: str) -> None:
    try:
        is_dir = folder.is_dir()
    except OSError as error:
        raise DataError(
            f"{folder}: {error.strerror}; expected a folder that can be read (data.path or --data)"
        ) from error
    if not is_dir:
        what = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: found {what}; expected a folder of {pattern} files (data.path or --data)")


def _check_files(config: Config) -> int:
    source = config.data.source
    files = files_of(source)
    table = Table.of(source.format, files[0])
    for path in files:
        table.check_columns(path)
    if table.columns is not None:  # a TFRecord file does not say which it has
        needed = [("label column", column) for column in config.label.columns]
        needed += [("data.split_key", config.data.split_key)] if config.data.split_key else []
        for what, column in needed:
            if column not in table.columns:
                where = f"{files[0]}: line 1" if source.format == "csv" else files[0]
                raise DataError(unknown_name(where, what, column, table.columns))
    rows = sum(len(batch) for path in files for batch in table.read(path))
    if rows == 0:
        found = "a header and no rows" if source.format == "csv" else "no rows"
        raise DataError(f"{files[0]}: found {found}; expected at least one row")
    return rows
