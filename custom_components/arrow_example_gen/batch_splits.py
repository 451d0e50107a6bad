"""Applies the seeded split of :mod:`custom_components.shared.seeded_split` to batches of rows."""

from collections.abc import Iterable, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from custom_components.arrow_example_gen.encoding import distinct, encode, encode_values, to_bytes
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.table import Columns
from custom_components.shared.seeded_split import Split, split_index, split_of_bytes

Rows = dict[str, list[bytes]]


def split_columns(columns: Columns, split: Split) -> Rows:
    """Encodes rows as tf.Examples, by split. Each group is hashed once."""
    rows = to_bytes(encode(columns))
    if split.key is None or split.key not in columns:
        return _by_split(rows, (split_of_bytes(row, split.bounds, split.seed) for row in rows), split)
    values, indices = distinct(columns[split.key])
    groups = [_split_of_group(each, split) for each in encode_values(split.key, values)]
    chosen = groups if indices is None else [None if at is None else groups[at] for at in indices.to_pylist()]
    # A row without a value belongs to no known group.
    indexes = (
        split_of_bytes(row, split.bounds, split.seed) if index is None else index
        for row, index in zip(rows, chosen, strict=True)
    )
    return _by_split(rows, indexes, split)


def split_records(records: Sequence[bytes], split: Split, path: str, before: int) -> Rows:
    """Groups records by split.

    Args:
        records: Serialized tf.Examples.
        split: The split.
        path: The file of the records, for errors.
        before: Number of records before these in the file.

    Raises:
        TableError: A record is not a valid tf.Example.
    """
    indexes = []
    for number, record in enumerate(records, start=before + 1):
        try:
            example = tf.train.Example.FromString(record)
        except DecodeError as error:
            raise TableError(f"{path}: record {number}: not a valid tf.Example; expected one per record") from error
        indexes.append(split_index(example, len(split.bounds), split.bounds, split.seed, split.key))
    return _by_split(records, indexes, split)


def _split_of_group(encoded: bytes, split: Split) -> int | None:
    """Split of the rows with a value of the key, given as an encoded tf.Example, or ``None`` for null."""
    if not encoded:
        return None
    feature = tf.train.Example.FromString(encoded).features.feature[split.key]
    return split_of_bytes(feature.SerializeToString(deterministic=True), split.bounds, split.seed)


def _by_split(rows: Sequence[bytes], indexes: Iterable[int], split: Split) -> Rows:
    found: Rows = {name: [] for name in split.names}
    lists = list(found.values())
    for row, index in zip(rows, indexes, strict=True):
        lists[index].append(row)
    return found
