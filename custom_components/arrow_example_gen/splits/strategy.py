"""What each way to split a table provides. See :mod:`.choice` for how settings choose one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from artifacts.fingerprint import FileDigest, fingerprint
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.table import Columns, Table


class NumberedFile(NamedTuple):
    """A file of the table.

    Attributes:
        number: Its position in the table.
        path: Its path.
        is_test: Whether its rows are those of the last split.
    """

    number: int
    path: str
    is_test: bool = False


class Rows(NamedTuple):
    """Consecutive rows of a file.

    Attributes:
        file: The file.
        before: Number of rows before these in the file.
        batch: The rows as they were read. Records are decoded.
        columns: The columns that the tf.Examples are made of.
        encoded: The rows as serialized tf.Examples.
    """

    file: NumberedFile
    before: int
    batch: pa.RecordBatch
    columns: Columns
    encoded: Sequence[bytes]


@runtime_checkable  # for Beam, which checks the types of arguments
class Assignment(Protocol):
    """Decides the split of each row."""

    def choose(self, table: Table, rows: Rows) -> Sequence[int | str]:
        """Returns the index of each row's split, or the reason why the row is left out.

        Raises:
            TableError: A row cannot be split.
        """


class Strategy(Protocol):
    """A way to split a table that needs to see a column of all rows first."""

    def survey(self, file: NumberedFile, table: Table) -> Iterator[Any]:
        """Yields what needs to be known of the rows of a file, in parts of a few megabytes.

        Raises:
            TableError: A row cannot be split.
        """

    def decide(self, parts: Iterable[Any], table: Table) -> Assignment:
        """Decides from the parts of all files, in any order.

        Raises:
            TableError: The table cannot be split.
        """


def fingerprint_of(files: Sequence[NumberedFile], digests: Mapping[int, FileDigest]) -> str:
    """The fingerprint of a table and its test table, from the digests of their files by number."""
    return fingerprint(
        (digests[file.number] for file in files if not file.is_test),
        [digests[file.number] for file in files if file.is_test],
    )


def missing_value(table: Table, path: str, row: int, column: str, setting: str) -> TableError:
    """The error for a row without a value in a column that must have one. ``row`` counts from 1."""
    return TableError(
        f"{table.location(path, row)}: column {shown(column)}: found no value; expected one in each row, as in the "
        f"schema, since {setting} splits by it: to leave such rows out, lower presence min_fraction in the schema"
    )
