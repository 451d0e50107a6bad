"""Reads the table before a run, and rejects a table that cannot be used."""

from pathlib import Path

from custom_components.arrow_example_gen.formats.file_format import FORMATS
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.spans import files_of
from custom_components.arrow_example_gen.table import Table
from pipeline.config.errors import UserError, unknown_name
from pipeline.config.settings import Config


class DataError(UserError):
    """The data is not the table that the settings describe."""


def check_table(config: Config) -> int:
    """Reads every data file once, in constant memory, as ExampleGen does. BigQuery tables are not read.

    Returns:
        The number of rows, or 0 for BigQuery.

    Raises:
        DataError: The folder is missing or has no rows, the columns differ or lack the label, or a file cannot be
            read. One line with the file and the row.
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
        raise DataError(f"{folder}: {error.strerror}; expected a readable folder (data.path or --data)") from error
    if not is_dir:
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: found {found}; expected a folder of {pattern} files (data.path or --data)")


def _check_files(config: Config) -> int:
    source = config.data.source
    files, is_text = files_of(source), FORMATS[source.format].is_text
    table = Table.of(source.format, files[0])
    for path in files:
        table.check_columns(path)
    if table.columns is not None:  # TFRecord files do not list their columns
        needed = [("label column", column) for column in config.label.columns]
        needed += [("data.split_key", config.data.split_key)] if config.data.split_key else []
        for kind, column in needed:
            if column not in table.columns:
                header = f"{files[0]}: line 1" if is_text else files[0]
                raise DataError(unknown_name(header, kind, column, table.columns))
    rows = sum(len(batch) for path in files for batch in table.read(path))
    if rows == 0:
        found = "a header and no rows" if is_text else "no rows"
        raise DataError(f"{files[0]}: found {found}; expected at least one row")
    return rows
