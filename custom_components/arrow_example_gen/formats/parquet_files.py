"""Reads a Parquet file as batches of the types that tf.Examples have."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artifacts.fingerprint import ContentDigest
from common.remote_paths import is_remote
from custom_components.arrow_example_gen.formats import column_names
from custom_components.arrow_example_gen.formats.decoded_size import by_bytes
from custom_components.arrow_example_gen.formats.dialect import COMMAS, Dialect
from custom_components.arrow_example_gen.formats.files import (
    BATCH_BYTES,
    BATCH_ROWS,
    TableError,
    name_of,
    open_raw,
    shown,
)
from custom_components.arrow_example_gen.formats.parquet_pages import check_pages
from custom_components.arrow_example_gen.formats.parquet_types import (
    Unreadable,
    as_text,
    feature_type,
    in_schema,
    needs_text,
)
from custom_components.arrow_example_gen.formats.type_conflicts import shown_type, type_conflict

BUFFER_BYTES = 1 << 20  # of each column that is read
# The encoding in which a text stores only what differs from the text before it, and a limit for a batch of such texts.
SHARED_PREFIXES, SHARED_BYTES = "DELTA_BYTE_ARRAY", 256 << 20
Types = dict[str, pa.DataType]
SchemaTypes = Mapping[str, str]


def read_columns(path: str, schema_types: SchemaTypes | None = None, _dialect: Dialect = COMMAS) -> Types:
    """Reads the columns with the types that they become: int64, float32, bytes, lists of these, or null.

    Columns of other types are left out, unless the schema has them.

    Args:
        path: The file.
        schema_types: Types of columns in the schema. Integers become floats, and floats integers, where it says so.

    Raises:
        TableError: The file is not a valid Parquet file, or a column does not fit the schema, or none can be read.
    """
    given = schema_types or {}
    found = {
        field.name: in_schema(path, field, given.get(field.name))
        for field in _read_fields(path)
        if field.name in given or not isinstance(feature_type(field.type), Unreadable)
    }
    if not found:
        raise TableError("; ".join([f"{path}: found no column that can be read", *unread_columns(path).values()]))
    return found


def column_notes(path: str, _dialect: Dialect = COMMAS) -> list[str]:
    """Describes the columns that have no name of their own, and those that are not read because of their type.

    Raises:
        TableError: The file is not a valid Parquet file.
    """
    with open_raw(path) as file, _damage_in_one_line(path):
        names = _open(path, file).schema_arrow.names
    return [*column_names.renamed_columns(names), *unread_columns(path).values()]


def unread_columns(path: str) -> dict[str, str]:
    """Why columns are not read, by name.

    Raises:
        TableError: The file is not a valid Parquet file.
    """
    found = {field.name: (field.type, feature_type(field.type)) for field in _read_fields(path)}
    return {
        name: f"column {shown(name)} is {kind}, which is not read: {each.hint} to use it"
        for name, (kind, each) in found.items()
        if isinstance(each, Unreadable)
    }


def _read_fields(path: str) -> list[pa.Field]:
    """The columns of a file. Those without a name of their own get one, as in CSV files."""
    with open_raw(path) as file, _damage_in_one_line(path):
        schema = _open(path, file).schema_arrow
        names = column_names.unique_names(schema.names)
    return [field.with_name(name) for field, name in zip(schema, names, strict=True)]


def check_columns(
    path: str, types: Types, first: str, schema_types: SchemaTypes | None = None, _dialect: Dialect = COMMAS
) -> Types:
    """Checks that a file has the columns and types of the table's first file and returns its own.

    Raises:
        TableError: A column is missing, unexpected or of another type.
    """
    found = read_columns(path, schema_types)
    other = next(iter(sorted(found.keys() ^ types.keys())), None)
    if other is not None:
        has, lacks = (path, first) if other in found else (first, path)
        raise TableError(
            f"{path}: the column '{other}' is in {name_of(has)} but not in {name_of(lacks)}; expected the same columns"
        )
    for name, kind in found.items():
        if pa.null() not in (kind, types[name]) and kind != types[name]:
            raise type_conflict(path, name, kind, types[name], first)
    return found


def read_rows(
    path: str,
    types: Types,
    digest: ContentDigest | None = None,
    _dialect: Dialect = COMMAS,
    only: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file in batches of a few megabytes, as they are after values are decoded.

    Text that is stored once, in a dictionary, is read as a dictionary.

    Args:
        path: The file.
        types: Its columns, as returned by :func:`read_columns`. Others are not read.
        digest: Updated with the bytes of the file, which are read from start to end before the rows.
        only: The columns to yield, or empty for all.

    Raises:
        TableError: The file is damaged or changes meanwhile, a row is too long, or a value does not fit into the type
            of its column.
    """
    row = 0
    with open_raw(path) as file, _damage_in_one_line(path):
        before = _status(file)
        if digest is not None and not is_remote(path):
            digest.update_from(file)
            file.seek(0)
        for batch in _batches(path, file, list(only or types)):
            for part in by_bytes(path, batch, row):
                cells = zip(part.schema.names, part.columns, strict=True)
                yield pa.RecordBatch.from_pydict(
                    {name: _converted(f"{path}: column '{name}'", each, types[name], row) for name, each in cells}
                )
                row += part.num_rows
        if _status(file) != before:
            raise TableError(f"{path}: the file changed while it was read; run again when nothing writes to it")


@contextlib.contextmanager
def _damage_in_one_line(path: str) -> Iterator[None]:
    """Turns errors about names that are not UTF-8, and about columns and values that a file does not have, into one.

    Raises:
        TableError: There was one.
    """
    try:
        yield
    except (UnicodeDecodeError, LookupError) as error:
        raise TableError(f"{path}: the file is damaged or has changed ({error}); expected a complete one") from error


def _status(file: IO[bytes]) -> tuple[int, int, int] | None:
    """Size and times of a file, or ``None`` for a remote one. Only the second time cannot be set back."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _batches(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields batches of columns whose stored size is a few megabytes. Decoded, they may have any size."""
    opened = _open(path, file)
    metadata, stored = opened.metadata, opened.schema_arrow.names
    names = column_names.unique_names(stored)
    # Arrow cannot select one of two columns with the same name, and selects 'a.b', too, if it is asked for 'a'.
    selected = list(columns) if names == stored else None
    # In a bucket, the check would download the file once more.
    batch_rows = _batch_rows(metadata, 0 if is_remote(path) else check_pages(path, file, metadata))
    file.seek(0)
    batches = _open(path, file, _dictionary_columns(metadata)).iter_batches(
        batch_rows, columns=selected, use_threads=False
    )
    row = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{path}: after row {row}: {error}; expected a complete Parquet file") from error
        if batch is None:
            return
        found = dict(zip(names if selected is None else batch.schema.names, batch.columns, strict=True))
        wanted = [name for name in names if name in columns]
        yield pa.RecordBatch.from_arrays([found[name] for name in wanted], wanted)
        row += batch.num_rows


def _batch_rows(metadata: pq.FileMetaData, page_bytes: int) -> int:
    """The number of rows whose stored values have a few megabytes, given the size of the largest page."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    rows = min(BATCH_ROWS, BATCH_BYTES // max(row_bytes, 1) + 1)
    if any(SHARED_PREFIXES in column.encodings for column in _columns(metadata)):
        # A value may repeat as much of the one before it as a page has.
        rows = min(rows, SHARED_BYTES // max(page_bytes, 1) + 1)
    return rows


def _columns(metadata: pq.FileMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        yield from map(group.column, range(metadata.num_columns))


def _dictionary_columns(metadata: pq.FileMetaData) -> list[str]:
    """Paths of the text columns whose values are stored in a dictionary, so that many rows can share a long text."""
    return sorted(
        {
            column.path_in_schema
            for column in _columns(metadata)
            if column.physical_type == "BYTE_ARRAY" and any("DICTIONARY" in encoding for encoding in column.encodings)
        }
    )


def _open(path: str, file: object, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, buffer_size=BUFFER_BYTES, read_dictionary=list(dictionaries))
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: {error}; expected a complete Parquet file") from error


def _converted(location: str, column: pa.Array, kind: pa.DataType, row: int) -> pa.Array:
    """Casts a column. Errors name the row. The batch starts after ``row`` rows of the file."""
    if kind == pa.null():
        return pa.nulls(len(column), pa.large_binary())
    if pa.types.is_dictionary(column.type):
        return _converted_dictionary(column, kind)
    if needs_text(column.type):
        return as_text(column).cast(kind)
    if pa.types.is_large_list(kind) and pc.list_flatten(column).null_count:
        index = next(index for index, values in enumerate(column.to_pylist()) if values and None in values)
        raise TableError(f"{location}: row {row + index + 1}: found null within a list; expected only values")
    try:
        found = _cast(column, kind)
        _check_overflow(column, found)
        return found
    except pa.ArrowInvalid as error:
        index = next(index for index in range(len(column)) if not _fits(column.take([index]), kind))
        raise TableError(
            f"{location}: row {row + index + 1}: {error}; expected a value that fits into {shown_type(kind)}"
        ) from error


def _converted_dictionary(column: pa.DictionaryArray, kind: pa.DataType) -> pa.Array:
    """Casts the values of a dictionary, of which only those of this batch are kept."""
    indices, values = column.indices, column.dictionary
    if kind != pa.large_binary():  # numbers, from a dictionary of Arrow's own
        return _cast(column.dictionary_decode(), kind)
    values = as_text(values) if needs_text(values.type) else values
    if len(values) > len(indices):
        used = indices.unique().drop_null()
        indices, values = pc.index_in(indices, used), values.take(used)
    return pa.DictionaryArray.from_arrays(indices, values.cast(kind))


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    value = kind.value_type if pa.types.is_large_list(kind) else kind
    if value != pa.float32() or pa.types.is_floating(_values_type(column.type)):
        return column.cast(kind)
    # Decimals are rounded, and so are integers where the schema names floats.
    doubles = pa.large_list(pa.float64()) if value != kind else pa.float64()
    return column.cast(doubles, safe=False).cast(kind)


def _check_overflow(column: pa.Array, found: pa.Array) -> None:
    """Refuses numbers that are too large for float32, which Arrow casts to infinity.

    Raises:
        pa.ArrowInvalid: There is one.
    """
    stored = _values_type(column.type)
    if _values_type(found.type) != pa.float32() or not (stored == pa.float64() or pa.types.is_decimal(stored)):
        return
    before, after = (pc.list_flatten(each) if pa.types.is_nested(each.type) else each for each in (column, found))
    infinite = before.filter(pc.is_inf(after)).cast(pa.float64())
    if len(infinite) and (finite := infinite.filter(pc.is_finite(infinite))):
        raise pa.ArrowInvalid(f"found {finite[0]}")


def _values_type(kind: pa.DataType) -> pa.DataType:
    return kind if not pa.types.is_nested(kind) else kind.value_type


def _fits(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        _check_overflow(column, _cast(column, kind))
    except pa.ArrowInvalid:
        return False
    return True
