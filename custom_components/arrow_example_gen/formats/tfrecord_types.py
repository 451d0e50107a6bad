"""Checks that records are tf.Examples whose features have the same type in all records."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import pyarrow as pa
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from custom_components.arrow_example_gen.formats.files import TableError, shown
from custom_components.arrow_example_gen.formats.single_values import check_single_values

# Tags of the fields of a tf.SequenceExample. A tf.Example only has the first.
FEATURES_FIELD, FEATURE_LISTS_FIELD = 0x0A, 0x12
VARINT_BITS, VARINT_MORE = 7, 0x80
# What tfx_bsl makes of the kinds of a feature.
TYPES = {"int64": "INT", "float": "FLOAT", "large_binary": "BYTES"}


class Known(NamedTuple):
    """The type of a feature, and what says so."""

    type: str
    source: str


class RecordTypes:
    """Checks the records of a table, batch by batch. Types that the schema does not name are those seen first."""

    def __init__(self, schema_types: Mapping[str, str], single: AbstractSet[str] = frozenset()) -> None:
        """Starts with the types of the schema: ``INT``, ``FLOAT`` or ``BYTES`` by feature.

        The features in ``single`` must have at most one value per record.
        """
        self._single = single
        self._known = {name: Known(kind, "in the schema") for name, kind in schema_types.items()}
        self._decoder = ExamplesToRecordBatchDecoder()

    def check(self, records: Sequence[bytes], path: str, before: int) -> pa.RecordBatch:
        """Checks records, and returns their features as columns of lists.

        Args:
            records: Serialized tf.Examples.
            path: Their file, for errors.
            before: Number of records before these in the file.

        Raises:
            TableError: A record is not a tf.Example, a feature has another type than elsewhere, or it has several
                values and must have one.
        """
        for number, record in enumerate(records, start=before + 1):
            if is_sequence_example(record):
                raise TableError(
                    f"{path}: record {number}: found a tf.SequenceExample, whose feature lists would be lost; expected "
                    "one tf.Example per record"
                )
        batch = self._decode(records)
        types = None if batch is None else dict(_feature_types(batch.schema))
        if types is None or self._conflicts(types):  # read again one by one, to find the record
            for number, record in enumerate(records, start=before + 1):
                self._check_record(record, f"{path}: record {number}")
        else:
            self._learn(types, f"in record {before + 1} or later of {path}")
        if batch is None:
            raise TableError(f"{path}: record {before + 1} or later: the records cannot be read; expected tf.Examples")
        check_single_values(batch, self._single, f"{path}: record", before)
        return batch

    def _check_record(self, record: bytes, location: str) -> None:
        batch = self._decode([record])
        if batch is None:
            raise TableError(f"{location}: not a valid tf.Example; expected one per record")
        types = dict(_feature_types(batch.schema))
        if conflict := next(iter(self._conflicts(types)), None):
            known = self._known[conflict]
            raise TableError(
                f"{location}: feature {shown(conflict)} is {types[conflict]}, but {known.type} {known.source}; "
                "expected the same type"
            )
        self._learn(types, f"in {location}")

    def _decode(self, records: Sequence[bytes]) -> pa.RecordBatch | None:
        """The features of records, or ``None`` if they cannot be parsed or their types differ between records."""
        try:
            return self._decoder.DecodeBatch(list(records))
        except (RuntimeError, ValueError):
            return None

    def _conflicts(self, types: Mapping[str, str]) -> list[str]:
        return [name for name, kind in types.items() if name in self._known and self._known[name].type != kind]

    def _learn(self, types: Mapping[str, str], source: str) -> None:
        for name, kind in types.items():
            self._known.setdefault(name, Known(kind, source))


def is_sequence_example(record: bytes) -> bool:
    r"""Returns whether a record has feature lists. As a tf.Example, only the context would be left of it.

    >>> is_sequence_example(b"\n\x00"), is_sequence_example(b"\n\x00\x12\x00")
    (False, True)
    """
    position, end = 0, len(record)
    while position < end and record[position] == FEATURES_FIELD:
        position += 1
        length = shift = 0
        while position < end:
            byte = record[position]
            position += 1
            length |= (byte & ~VARINT_MORE) << shift
            shift += VARINT_BITS
            if byte < VARINT_MORE:
                break
        position += length
    return position < end and record[position] == FEATURE_LISTS_FIELD


def _feature_types(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    for field in schema:
        if not pa.types.is_null(field.type):  # a feature without values
            yield field.name, TYPES[str(field.type.value_type)]
