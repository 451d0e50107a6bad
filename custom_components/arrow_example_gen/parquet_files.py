"""Streams a Parquet file as batches of the types that tf.Examples have."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from custom_components.arrow_example_gen.files import BATCH_BYTES, BATCH_ROWS, TableError, name_of, open_as_it_is

BUFFER_BYTES = 1 << 20  # of each column that is read
# What to do about a column of another type.
HINTS = {
    "timestamp": "cast it to a number, such as its seconds since 1970",
    "date": "cast it to a number, such as its days since 1970",
    "time": "cast it to a number",
    "duration": "cast it to a number",
    "decimal": "cast it to a float",
    "struct": "make a column of each of its fields",
    "map": "make a column of each of its keys",
    "list": "flatten it to one list a row",
}
Types = dict[str, pa.DataType]


def read_columns(path: str) -> Types:
    """The columns and the types that they become: int64, float32, bytes or lists of them; ``null`` if all are missing.

    Raises:
        TableError: It is no Parquet file, or is cut off; a column is there twice, or is of a type that is none of a
            feature's.
    """
    with open_as_it_is(path) as file:
        schema = _open(path, file).schema_arrow
    names = schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TableError(f"{path}: found the column '{twice}' twice; expected each name once")
    return {field.name: _feature_type(path, field) for field in schema}


def check_columns(path: str, types: Types, first: str) -> Types:
    """Checks that a file has the columns and types of the table's first one; returns its own.

    Raises:
        TableError: A column is missing, is one too many, or is of another type.
    """
    found = read_columns(path)
    other = next(iter(sorted(found.keys() ^ types.keys())), None)
    if other is not None:
        has, lacks = (path, first) if other in found else (first, path)
        raise TableError(
            f"{path}: the column '{other}' is in {name_of(has)} and not in {name_of(lacks)}; expected the same columns"
        )
    for name, kind in found.items():
        if pa.null() not in (kind, types[name]) and kind != types[name]:
            raise TableError(
                f"{path}: column '{name}' becomes {_shown(kind)}, and {_shown(types[name])} in {name_of(first)}; "
                "expected the same type"
            )
    return found


def read_rows(path: str, types: Types) -> Iterator[pa.RecordBatch]:
    """Yields a file's rows, as many at once as a few megabytes hold.

    Args:
        path: The file.
        types: Its columns, as ``read_columns`` gives them.

    Raises:
        TableError: The file is damaged, or a value does not fit.
    """
    row = 0
    with open_as_it_is(path) as file:
        parquet = _open(path, file)
        groups = [parquet.metadata.row_group(index) for index in range(parquet.num_row_groups)]
        longest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
        batches = parquet.iter_batches(min(BATCH_ROWS, BATCH_BYTES // max(longest, 1) + 1), use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise TableError(f"{path}: behind row {row}: {error}; expected a whole Parquet file") from error
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
        raise TableError(f"{path}: {error}; expected a whole Parquet file") from error


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
            f"lists of one of them: {hint}"
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


def _converted(where: str, column: pa.Array, kind: pa.DataType, row: int) -> pa.Array:
    """A column as ``kind``; errors name the row, of which ``row`` are before the column's first."""
    if kind == pa.null():
        return pa.nulls(len(column), pa.large_binary())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_list(kind) and pc.list_flatten(column).null_count:
        place = next(index for index, values in enumerate(column.to_pylist()) if values and None in values)
        raise TableError(f"{where}: row {row + place + 1}: found null within a list; expected values alone")
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        place = next(index for index in range(len(column)) if not _fits(column.take([index]), kind))
        raise TableError(f"{where}: row {row + place + 1}: {error}; expected what fits into {_shown(kind)}") from error


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
