"""Finds the rows of a batch that have a label, and refuses values that stand for none of its classes."""

from collections.abc import Mapping

import pyarrow as pa

from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.label_rows import LabelRows, first_values, value_text


def labeled_rows(
    rows: LabelRows, columns: Mapping[str, pa.Array], count: int, table: Table, path: str, before: int
) -> pa.BooleanArray:
    """Which rows of a batch have a label.

    Args:
        rows: What a row must have.
        columns: Columns of the batch by name, with the types of the schema.
        count: Number of rows of the batch.
        table: The table, for errors.
        path: The file, for errors.
        before: Number of rows before these in the file.

    Raises:
        TableError: A value stands for no class. The message has its line.
    """
    labeled = rows.labeled(columns, count)
    other = rows.first_other(columns, labeled)
    if other is not None:
        text = value_text(first_values(columns[rows.column])[other].as_py())
        raise TableError(
            f"{table.location(path, before + other + 1)}: column {shown(rows.column)}: found {shown(text)}; expected "
            f"one of the label's classes {', '.join(rows.classes)}: correct the value, or add it to label.classes"
        )
    return labeled
