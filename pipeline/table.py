"""Reads the table before any component runs, and refuses one that is none."""

import csv
import itertools
from pathlib import Path

import pyarrow
import pyarrow.csv

from pipeline.config import Config
from pipeline.config_errors import UserError, unknown_name

BLOCK_BYTES = 16 << 20  # the longest row that can be read


class DataError(UserError):
    """Data that cannot be read as the table that the settings describe."""


def check_table(config: Config) -> None:
    """Reads every data file once, in constant memory, as rows of text; BigQuery checks its own.

    Raises:
        DataError: No such folder, no file or no row in it, a header that differs or lacks the label, a ragged row,
            or text that is not UTF-8; one line with the file and, where there is one, the row.
    """
    if config.data.bigquery:
        return
    folder = Path(config.data.path)
    try:
        is_dir = folder.is_dir()
    except OSError as error:
        raise DataError(
            f"{folder}: {error.strerror}; expected a folder that can be read (data.path or --data)"
        ) from error
    if not is_dir:
        what = "a file" if folder.exists() else "nothing"
        raise DataError(
            f"{folder}: found {what}; expected a folder of {config.data.pattern} files (data.path or --data)"
        )
    files = sorted(path for path in folder.glob(config.data.pattern) if path.is_file())
    if not files:
        raise DataError(f"{folder}: found no file that matches {config.data.pattern}; expected at least one")
    first_header = _header(files[0])
    for path in files:
        header = _header(path)
        if header != first_header:
            raise DataError(
                f"{path}: line 1: its columns differ from those of {files[0].name}; expected the same header"
            )
    for column in config.label.columns:
        if column not in first_header:
            raise DataError(unknown_name(f"{files[0]}: line 1", "label column", column, first_header))
    if sum(_check_rows(path, first_header) for path in files) == 0:
        raise DataError(f"{files[0]}: found a header and no rows; expected at least one row")


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), None)
    except csv.Error as error:
        raise DataError(f"{path}: line 1: {error}; expected a header line of column names") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {_utf8_error(path)}; save the file as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a file that can be read") from error
    if header is None:
        raise DataError(f"{path}: the file is empty; expected a header line and rows")
    if not header:
        raise DataError(f"{path}: line 1: it is blank; expected a header line of column names")
    if header[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
        raise DataError(f"{path}: line 1: found a byte-order mark; save the file as UTF-8 without one")
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}: line 1: found the column '{twice}' twice; expected each name once")
    return header


def _check_rows(path: Path, header: list[str]) -> int:
    ragged: list[pyarrow.csv.InvalidRow] = []

    def stop(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    rows = 0
    try:
        reader = pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES
            ),  # so that rows have numbers
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=stop, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pyarrow.string())),
        )
        for batch in reader:
            rows += batch.num_rows
    except pyarrow.ArrowInvalid as error:
        if ragged:
            line, found = _line_number(path, ragged[0].number), ragged[0].actual_columns
            raise DataError(
                f"{path}: line {line}: found {found} values; expected {len(header)}, as the header has"
            ) from error
        if "UTF8" in str(error):
            raise DataError(f"{path}: {_utf8_error(path)}; save the file as UTF-8") from error
        if "Empty CSV" not in str(error):  # what Arrow says of a header alone, without a line end
            raise DataError(f"{path}: {error}; expected a CSV file") from error
    return rows


def _line_number(path: Path, row: int) -> int:
    """Line of a file on which a row stands, the header being row 1; Arrow does not count blank lines."""
    with path.open("rb") as file:
        numbers = (number for number, line in enumerate(file, start=1) if line.strip())
        return next(itertools.islice(numbers, row - 1, None), row)


def _utf8_error(path: Path) -> str:
    """Where the first byte stands that is no UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}: byte {line[error.start]:#04x} is not UTF-8"
    return "not UTF-8"
