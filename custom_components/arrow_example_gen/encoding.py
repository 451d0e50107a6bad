"""Encodes Arrow columns as serialized tf.Examples, one batch at a time.

tfx_bsl's encoder writes the features of a row in an order that differs between processes, and writes a feature without
values for a missing value. The split is a hash of the row's bytes, and missing values must be absent. So the encoder
gets one column at a time, and each distinct value once. Arrow then joins the encoded values row by row, sorted by
feature name, which is protobuf's deterministic order. If one name is a prefix of another, the longer name comes first.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

FEATURES_TAG = b"\n"  # tag of tf.Example's field 1, followed by a varint of the features' length and the features
VALUE_TAG = b"\x12"  # tag of a map's value
ONE_BYTE_VARINT = 1 << 7
FLOAT_BYTES = 4
EMPTY = pa.scalar(b"", pa.large_binary())

_encoder = RecordBatchToExamplesEncoder()


def encode(columns: Mapping[str, pa.Array]) -> pa.LargeBinaryArray:
    """Encodes rows as serialized tf.Examples, with the bytes of ``SerializeToString(deterministic=True)``.

    Args:
        columns: Arrays by name: int64, float32, bytes, or lists of these, optionally dictionary-encoded. Nulls and
            empty lists are left out.
    """
    features = [_encode_column(name, columns[name]) for name in sorted(columns, key=_sort_key)]
    rows = _join(features)
    lengths = pc.binary_length(rows).dictionary_encode()
    headers = pa.array([FEATURES_TAG + varint(length) for length in lengths.dictionary.to_pylist()], pa.large_binary())
    return _join([headers.take(lengths.indices), rows])


def encode_values(name: str, values: pa.Array) -> list[bytes]:
    """Encodes each value as a tf.Example with a single feature. Nulls and empty lists become empty bytes."""
    is_list = pa.types.is_large_list(values.type)
    lists = values if is_list else pa.LargeListArray.from_arrays(np.arange(len(values) + 1), values)
    present = pc.greater(pc.list_value_length(lists), 0) if is_list else values.is_valid()
    encoded = _encoder.encode(pa.RecordBatch.from_arrays([lists], [name]))
    return [each if has else b"" for each, has in zip(encoded, present.to_pylist(), strict=True)]


def feature_bytes(example: bytes, name: str) -> bytes:
    """The serialized feature in a tf.Example that has no other, as :func:`encode_values` returns it."""
    key = name.encode()
    before = b"\n" + varint(len(key)) + key + VALUE_TAG
    start = example.index(before) + len(before)
    while example[start] >= ONE_BYTE_VARINT:  # the feature's length
        start += 1
    return example[start + 1 :]


def distinct(column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """The distinct values of a column, and the index of each row's value.

    Where values are used row by row, they are returned as they are, without indices.
    """
    if pa.types.is_large_list(column.type) or column.type == pa.float32():  # 0.0 and -0.0 have different bytes
        return column, None
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.dictionary, column.indices


def to_bytes(rows: pa.LargeBinaryArray) -> list[bytes]:
    """The values of an array, several times faster than ``to_pylist``."""
    _, offsets, content = rows.buffers()
    if content is None:
        return [b""] * len(rows)
    bounds = np.frombuffer(offsets, np.int64)[rows.offset : rows.offset + len(rows) + 1].tolist()
    data = content.to_pybytes()
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def varint(number: int) -> bytes:
    r"""Encodes a number as protobuf's varint: 7 bits per byte, lowest first, with bit 8 set except in the last byte.

    >>> varint(300)
    b'\xac\x02'
    """
    found = bytearray()
    while number >= ONE_BYTE_VARINT:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _sort_key(name: str) -> bytes:
    """Sort key of a feature name: ends in a byte that no name contains and that is higher than any other."""
    return name.encode() + b"\xff"


def _encode_column(name: str, column: pa.Array) -> pa.LargeBinaryArray:
    """The column's entry in each row's map of features, or null where the value is missing."""
    values, indices = distinct(column)
    entries = _entries(name, values)
    return entries if indices is None else entries.take(indices)


def _entries(name: str, values: pa.Array) -> pa.LargeBinaryArray:
    if values.type == pa.float32():  # all have the same length, and end in the float's four bytes
        [zero] = encode_values(name, pa.array([0.0], pa.float32()))
        before = pa.scalar(zero[_header_bytes(len(zero)) : -FLOAT_BYTES], pa.large_binary())
        floats = values.view(pa.binary(FLOAT_BYTES)).cast(pa.large_binary())
        return pc.binary_join_element_wise(before, floats, EMPTY)
    entries = [each[_header_bytes(len(each)) :] if each else None for each in encode_values(name, values)]
    return pa.array(entries, pa.large_binary())


def _header_bytes(length: int) -> int:
    """Number of bytes before the features in a tf.Example of ``length`` bytes: a tag and a varint."""
    header = 2
    while length - header >= ONE_BYTE_VARINT ** (header - 1):
        header += 1
    return header


def _join(parts: list[pa.Array]) -> pa.LargeBinaryArray:
    # Arrow returns null for a row with only nulls: the empty bytes make it empty.
    return pc.binary_join_element_wise(EMPTY, *parts, EMPTY, null_handling="skip")
