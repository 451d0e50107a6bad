"""The seeded hash of records that are already tf.Examples."""

from collections.abc import Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.shared.seeded_split import split_index
from custom_components.shared.split_hash import Split


def split_records(records: Sequence[bytes], split: Split, path: str, before: int) -> list[int]:
    """Index of the split of each record.

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
    return indexes
