"""The formats that a table's files may have, and what a module that reads one of them provides.

Imports neither TFX nor pyarrow, so that settings can be checked quickly. To add a format, write a module that
implements :class:`FileFormat` and add a row to :data:`FORMATS`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect

if TYPE_CHECKING:
    import pyarrow as pa

    from artifacts.fingerprint import ContentDigest


class FileFormat(Protocol):
    """Reads the files of one format. Usually implemented by a module.

    ``columns`` is whatever the format needs to know about the columns of a file, with their names as its elements or
    keys. It is ``None`` for a format whose files do not list their columns.
    """

    def read_columns(
        self, path: str, schema_types: Mapping[str, str] | None = None, dialect: Dialect = COMMAS, /
    ) -> Any:
        """Returns the columns of a file.

        Args:
            path: The file.
            schema_types: ``INT``, ``FLOAT`` or ``BYTES`` by column, as far as the schema names the type.
            dialect: Delimiter and encoding, for text.

        Raises:
            TableError: The columns cannot be read, or one of them cannot become a feature of the type.
        """

    def column_notes(self, path: str, dialect: Dialect = COMMAS, /) -> list[str]:
        """Describes the columns of a file that have no name of their own or are not read, one line each.

        Raises:
            TableError: The columns cannot be read.
        """

    def check_columns(
        self,
        path: str,
        columns: Any,
        first: str,
        schema_types: Mapping[str, str] | None = None,
        dialect: Dialect = COMMAS,
        /,
    ) -> Any:
        """Checks that a file has the same columns as the table's first file and returns the columns of this file.

        Args:
            path: The file.
            columns: The columns of the first file.
            first: Path of the first file.
            schema_types: As for :meth:`read_columns`.
            dialect: As for :meth:`read_columns`.

        Raises:
            TableError: The columns differ.
        """

    def read_rows(
        self,
        path: str,
        columns: Any,
        digest: ContentDigest | None = None,
        dialect: Dialect = COMMAS,
        only: Sequence[str] = (),
        /,
    ) -> Iterator[pa.RecordBatch | list[bytes]]:
        """Yields the rows of a file in batches, in constant memory.

        Args:
            path: The file.
            columns: Its columns.
            digest: Updated with the bytes of the file, unless it is remote.
            dialect: As for :meth:`read_columns`.
            only: The columns that are needed, if the others may be left out.

        Yields:
            Record batches of strings (if :attr:`FormatSpec.is_text`), record batches of int64, float32, binary or lists
            of these, or lists of serialized tf.Examples.

        Raises:
            TableError: A row cannot be read. The message says which.
        """


@dataclasses.dataclass(frozen=True)
class FormatSpec:
    """A row in the table of formats.

    Attributes:
        module: Module that implements :class:`FileFormat`.
        can_be_gzipped: Whether files may be gzipped, with the extension ``.gz``.
        is_text: Whether values are text below a header line, so that types are inferred from all rows.
    """

    module: str
    can_be_gzipped: bool = False
    is_text: bool = False


# By name, which is also the file extension.
FORMATS = {
    "csv": FormatSpec("custom_components.arrow_example_gen.formats.csv_files", can_be_gzipped=True, is_text=True),
    "parquet": FormatSpec("custom_components.arrow_example_gen.formats.parquet_files"),
    "tfrecord": FormatSpec("custom_components.arrow_example_gen.formats.tfrecord_files", can_be_gzipped=True),
}

if TYPE_CHECKING:
    Format: TypeAlias = str
else:
    Format = Literal[tuple(FORMATS)]  # for the settings, which list the allowed values in errors


def file_format(name: Format) -> FileFormat:
    """Imports the module of a format. Only one is needed for a table, and pyarrow.parquet takes 0.1 s to import."""
    return cast("FileFormat", importlib.import_module(FORMATS[name].module))
