"""Splits a table by a seeded hash of each row or of one column, optionally with another table for the last split."""

import dataclasses
from collections.abc import Sequence

from custom_components.arrow_example_gen.encoding import distinct, encode_values, feature_bytes
from custom_components.arrow_example_gen.splits.strategy import Rows
from custom_components.arrow_example_gen.table import Columns, Table
from custom_components.shared.split_hash import Split, split_of_bytes


@dataclasses.dataclass(frozen=True)
class HashSplit:
    """A split by a hash.

    Attributes:
        split: The hash.
    """

    split: Split

    def choose(self, table: Table, rows: Rows) -> Sequence[int]:
        """Returns the index of each row's split."""
        if table.columns is None:
            # Imports TensorFlow, and is only needed for records.
            from custom_components.arrow_example_gen.splits.record_hash import split_records  # noqa: PLC0415

            return split_records(rows.encoded, self.split, rows.file.path, rows.before)
        return split_columns(rows.columns, rows.encoded, self.split)


@dataclasses.dataclass(frozen=True)
class WithTestTable:
    """The last split is a table of its own, and the others are split by a hash.

    Attributes:
        others: The hash of the other splits.
        last: Index of the last split.
    """

    others: HashSplit
    last: int

    def choose(self, table: Table, rows: Rows) -> Sequence[int]:
        """Returns the index of each row's split."""
        return [self.last] * len(rows.encoded) if rows.file.is_test else self.others.choose(table, rows)


def split_columns(columns: Columns, rows: Sequence[bytes], split: Split) -> list[int]:
    """Index of the split of each row. Each group is hashed once.

    Args:
        columns: The columns of the rows.
        rows: The rows as serialized tf.Examples.
        split: The hash.
    """
    if split.key is None or split.key not in columns:
        return [split_of_bytes(row, split.bounds, split.seed) for row in rows]
    values, indices = distinct(columns[split.key])
    groups = [split_of_group(each, split) if each else None for each in encode_values(split.key, values)]
    chosen = groups if indices is None else [None if at is None else groups[at] for at in indices.to_pylist()]
    # A row without a value belongs to no known group.
    return [
        split_of_bytes(row, split.bounds, split.seed) if index is None else index
        for row, index in zip(rows, chosen, strict=True)
    ]


def split_of_group(group: bytes, split: Split) -> int:
    """Index of the split of the rows with a value of the key, given as a tf.Example with only this feature."""
    assert split.key is not None
    return split_of_bytes(feature_bytes(group, split.key), split.bounds, split.seed)
