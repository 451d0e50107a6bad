"""Checks that columns which must have one value per row do."""

from collections.abc import Set as AbstractSet

import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.files import TableError, shown


def check_single_values(batch: pa.RecordBatch, names: AbstractSet[str], location: str, before: int) -> None:
    """Checks that no row has several values in a column.

    Args:
        batch: Rows of a file, whose columns may be lists.
        names: Columns that must have at most one value per row.
        location: The file and what it calls a row, for errors.
        before: Number of rows before these in the file.

    Raises:
        TableError: A row has several values. The message has its number.
    """
    for field in batch.schema:
        if field.name not in names or not (pa.types.is_list(field.type) or pa.types.is_large_list(field.type)):
            continue
        lengths = pc.list_value_length(batch.column(field.name))
        most = pc.max(lengths).as_py() or 0
        if most > 1:
            row = before + pc.index(pc.greater(lengths, 1), value=True).as_py() + 1
            raise TableError(
                f"{location} {row}: column {shown(field.name)} has {lengths[row - before - 1]} values; expected one "
                "value per row, since it is a feature or the label: replace the list by columns of its own"
            )
