"""The cells of one column in rows of any format."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.csv_types import ColumnType, without_missing
from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.label_check import labeled_rows
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows, first_values


class Read(NamedTuple):
    """Some columns of consecutive rows.

    Attributes:
        batch: The columns, decoded if the rows are records.
        labeled: Whether each row has a label.
        before: Number of rows before these in the file.
    """

    batch: pa.RecordBatch
    labeled: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    before: int


def read_column(table: Table, path: str, column: str, labels: LabelRows | None) -> Iterator[Read]:
    """Reads a column of a file, and which rows have a label.

    Raises:
        TableError: As in :meth:`.table.Table.read`, a record is not a tf.Example, or a label stands for no class.
    """
    before = 0
    names = tuple(dict.fromkeys((column, *(labels.columns if labels else ()))))
    for batch in table.read(path, only=names):
        found = _decoded(batch, path, before) if isinstance(batch, list) else batch
        yield Read(found, _labeled(table, found, labels, path, before), before)
        before += len(batch)


def cells_of(table: Table, batch: pa.RecordBatch, column: str, path: str, before: int) -> pa.Array:
    """The cells of a column.

    Args:
        table: The table.
        batch: Rows of a file, decoded if they are records.
        column: Name of the column.
        path: The file, for errors.
        before: Number of rows before these in the file.

    Returns:
        int64, float32, text or bytes, with null for missing values.

    Raises:
        TableError: A row has several values.
    """
    if column not in batch.schema.names:
        return pa.nulls(len(batch), pa.large_binary())
    cells = batch.column(column)
    if pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type):
        lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy()
        if len(lengths) and lengths.max() > 1:
            row = int(np.argmax(lengths > 1))
            raise TableError(
                f"{table.location(path, before + row + 1)}: column {shown(column)} has {lengths[row]} values; expected "
                "one value per row, since the table is split by it"
            )
    cells = first_values(cells)
    return without_missing(cells, table.missing_values) if table.is_text else cells


def texts_of(cells: pa.Array) -> pa.Array:
    """Text or bytes as text without spaces around it, with null for an empty cell."""
    if pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        try:
            cells = cells.cast(pa.large_string())
        except pa.ArrowInvalid:  # not UTF-8
            values: Sequence[bytes | None] = cells.to_pylist()
            cells = pa.array([None if each is None else each.decode(errors="backslashreplace") for each in values])
    cells = pc.utf8_trim_whitespace(cells.cast(pa.large_string()))
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, cells.type), cells)


def _decoded(records: list[bytes], path: str, before: int) -> pa.RecordBatch:
    # Takes 0.2 s to import, and is only needed for records.
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder  # noqa: PLC0415

    try:
        return ExamplesToRecordBatchDecoder().DecodeBatch(records)
    except (RuntimeError, ValueError) as error:
        raise TableError(
            f"{path}: records {before + 1} to {before + len(records)}: {error}; expected one tf.Example per record, "
            "and one type per feature"
        ) from error


def _labeled(
    table: Table, batch: pa.RecordBatch, labels: LabelRows | None, path: str, before: int
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    if labels is None:
        return np.ones(len(batch), np.bool_)
    given = batch.select([name for name in labels.columns if name in batch.schema.names])
    types = dict.fromkeys(given.schema.names, ColumnType.STRING)
    columns = table.to_columns(given, types, path, before) if given.num_columns else {}
    found = labeled_rows(labels, columns, len(batch), table, path, before)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)
