"""Reads a Parquet file as batches of the types that tf.Examples have."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from custom_components.arrow_example_gen.formats.files import BATCH_BYTES, BATCH_ROWS, TableError, name_of, open_raw

BUFFER_BYTES = 1 << 20  # of each column that is read
# How to fix a column of an unsupported type.
HINTS = {
    "timestamp": "cast it to a number, such as the seconds since 1970",
    "date": "cast it to a number, such as the days since 1970",
    "time": "cast it to a number",
    "duration": "cast it to a number",
    "decimal": "cast it to a float",
    "struct": "make a column for each field",
    "map": "make a column for each key",
    "list": "flatten it to one list per row",
}
Types = dict[str, pa.DataType]


def read_columns(path: str) -> Types:
    """Reads the columns with the types that they become: int64, float32, bytes, lists of these, or null.

    Raises:
        TableError: The file is not a valid Parquet file, has a column twice, or has a column of an unsupported type.
    """
    with open_raw(path) as file:
        schema = _open(path, file).schema_arrow
    names = schema.names
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise TableError(f"{path}: found the column '{repeated}' twice; expected each name once")
    return {field.name: _feature_type(path, field) for field in schema}


def check_columns(path: str, types: Types, first: str) -> Types:
    """Checks that a file has the columns and types of the table's first file and returns its own.

    Raises:
        TableError: A column is missing, unexpected or of another type.
    """
    found = read_columns(path)
    other = next(iter(sorted(found.keys() ^ types.keys())), None)
    if other is not None:
        has, lacks = (path, first) if other in found else (first, path)
        raise TableError(
            f"{path}: the column '{other}' is in {name_of(has)} but not in {name_of(lacks)}; expected the same columns"
        )
    for name, kind in found.items():
        if pa.null() not in (kind, types[name]) and kind != types[name]:
            raise TableError(
                f"{path}: column '{name}' becomes {_shown(kind)}, but {_shown(types[name])} in {name_of(first)}; "
                "expected the same type"
            )
    return found


def read_rows(path: str, types: Types) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file in batches of a few megabytes.

    Args:
        path: The file.
        types: Its columns, as returned by :func:`read_columns`.

    Raises:
        TableError: The file is damaged, or a value does not fit into the type of its column.
    """
    row = 0
    with open_raw(path) as file:
        parquet = _open(path, file)
        groups = [parquet.metadata.row_group(index) for index in range(parquet.num_row_groups)]
        row_bytes = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
        batches = parquet.iter_batches(min(BATCH_ROWS, BATCH_BYTES // max(row_bytes, 1) + 1), use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise TableError(f"{path}: after row {row}: {error}; expected a complete Parquet file") from error
            if batch is None:
                return
            columns = zip(batch.schema.names, batch.columns, strict=True)
            yield pa.RecordBatch.from_pydict(
                {name: _converted(f"{path}: column '{name}'", column, types[name], row) for name, column in columns}
            )
            row += batch.num_rows


def _open(path: str, file: object) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, buffer_size=BUFFER_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: {error}; expected a complete Parquet file") from error


def _feature_type(path: str, field: pa.Field) -> pa.DataType:
    kind, is_list = field.type, False
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, is_list = kind.value_type, True
    elif pa.types.is_dictionary(kind):
        kind = kind.value_type
    found = _value_type(kind)
    if found is None:
        hint = next((hint for name, hint in HINTS.items() if name in str(kind)), "cast it, or leave it out")
        raise TableError(
            f"{path}: column '{field.name}' is {field.type}; expected integers, floats, booleans, text, bytes or "
            f"lists of one of these: {hint}"
        )
    return pa.large_list(found) if is_list and found != pa.null() else found


def _value_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_null(kind):
        return pa.null()
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float32()
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(test(kind) for test in texts) or "binary" in str(kind):
        return pa.large_binary()
    return None


def _converted(location: str, column: pa.Array, kind: pa.DataType, row: int) -> pa.Array:
    """Casts a column. Errors name the row. The batch starts after ``row`` rows of the file."""
    if kind == pa.null():
        return pa.nulls(len(column), pa.large_binary())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_list(kind) and pc.list_flatten(column).null_count:
        index = next(index for index, values in enumerate(column.to_pylist()) if values and None in values)
        raise TableError(f"{location}: row {row + index + 1}: found null within a list; expected only values")
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        index = next(index for index in range(len(column)) if not _fits(column.take([index]), kind))
        raise TableError(
            f"{location}: row {row + index + 1}: {error}; expected a value that fits into {_shown(kind)}"
        ) from error


def _fits(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _shown(kind: pa.DataType) -> str:
    names: Mapping[pa.DataType, str] = {pa.large_binary(): "bytes"}
    if pa.types.is_large_list(kind):
        return f"lists of {_shown(kind.value_type)}"
    return names.get(kind, str(kind))
