"""Columns of Arrow to serialized tf.Examples, whole batches at once.

tfx_bsl's encoder writes a row's features in an order that changes from process to process, and a feature without values
for what is missing. The split is a hash of the row's bytes, and what is missing has to be absent. So it is given one
column at a time, and each distinct value once; Arrow joins what it makes of them row by row, in the order of the names,
which is what protobuf calls deterministic; where a name begins with another one, the longer one comes first.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

FEATURES_TAG = b"\n"  # of tf.Example's field 1: the features, which a varint of their length and they follow
ONE_BYTE_VARINT = 1 << 7
FLOAT_BYTES = 4
EMPTY = pa.scalar(b"", pa.large_binary())

_encoder = RecordBatchToExamplesEncoder()


def encode(columns: Mapping[str, pa.Array]) -> pa.LargeBinaryArray:
    """Rows as serialized tf.Examples, the bytes that ``SerializeToString(deterministic=True)`` gives.

    Args:
        columns: By name, arrays of int64, float32 or bytes, perhaps lists of them, perhaps dictionary-encoded. Null and
            an empty list are left out of a row.
    """
    features = [_encode_column(name, columns[name]) for name in sorted(columns, key=_place)]
    rows = _join(features)
    lengths = pc.binary_length(rows).dictionary_encode()
    headers = pa.array([FEATURES_TAG + varint(length) for length in lengths.dictionary.to_pylist()], pa.large_binary())
    return _join([headers.take(lengths.indices), rows])


def encode_values(name: str, values: pa.Array) -> list[bytes]:
    """Each value as a serialized tf.Example with this feature alone; empty bytes for null and an empty list."""
    is_list = pa.types.is_large_list(values.type)
    lists = values if is_list else pa.LargeListArray.from_arrays(np.arange(len(values) + 1), values)
    present = pc.greater(pc.list_value_length(lists), 0) if is_list else values.is_valid()
    encoded = _encoder.encode(pa.RecordBatch.from_arrays([lists], [name]))
    return [each if has else b"" for each, has in zip(encoded, present.to_pylist(), strict=True)]


def distinct(column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """A column's distinct values and each row's index among them; ``None`` where values are taken row by row."""
    if pa.types.is_large_list(column.type) or column.type == pa.float32():  # 0.0 and -0.0 are not the same bytes
        return column, None
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.dictionary, column.indices


def to_bytes(rows: pa.LargeBinaryArray) -> list[bytes]:
    """An array's values, several times faster than ``to_pylist``."""
    _, offsets, content = rows.buffers()
    if content is None:
        return [b""] * len(rows)
    bounds = np.frombuffer(offsets, np.int64)[rows.offset : rows.offset + len(rows) + 1].tolist()
    text = content.to_pybytes()
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


def varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, the lowest first, the eighth set in all bytes but the last."""
    found = bytearray()
    while number >= ONE_BYTE_VARINT:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _place(name: str) -> bytes:
    """What names are sorted by; no name has the byte that ends it here, and which is above all that might follow."""
    return name.encode() + b"\xff"


def _encode_column(name: str, column: pa.Array) -> pa.LargeBinaryArray:
    """A column's entry of the map of features, row by row; null where the row lacks it."""
    values, indices = distinct(column)
    entries = _entries(name, values)
    return entries if indices is None else entries.take(indices)


def _entries(name: str, values: pa.Array) -> pa.LargeBinaryArray:
    if values.type == pa.float32():  # all are as long, and end in the float's own four bytes
        [zero] = encode_values(name, pa.array([0.0], pa.float32()))
        before = pa.scalar(zero[_header_bytes(len(zero)) : -FLOAT_BYTES], pa.large_binary())
        floats = values.view(pa.binary(FLOAT_BYTES)).cast(pa.large_binary())
        return pc.binary_join_element_wise(before, floats, EMPTY)
    entries = [each[_header_bytes(len(each)) :] if each else None for each in encode_values(name, values)]
    return pa.array(entries, pa.large_binary())


def _header_bytes(length: int) -> int:
    """Bytes before the features in a serialized tf.Example of ``length``: the tag, and the varint of their length."""
    header = 2
    while length - header >= ONE_BYTE_VARINT ** (header - 1):
        header += 1
    return header


def _join(parts: list[pa.Array]) -> pa.LargeBinaryArray:
    # Arrow leaves out a row that has nulls alone: empty bytes before them are there in any row.
    return pc.binary_join_element_wise(EMPTY, *parts, EMPTY, null_handling="skip")
