"""Cuts batches by the size that their rows have once all values are decoded.

Many rows can share one long value in a dictionary. As tf.Examples, each row has its own copy.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.formats.files import BATCH_BYTES, MAX_ROW_BYTES, TableError

VALUE_BYTES = 8  # of a number

Sizes = npt.NDArray[np.int64]


def by_bytes(path: str, batch: pa.RecordBatch, row: int) -> Iterator[pa.RecordBatch]:
    """Yields parts of a batch, in order, each with a few megabytes of decoded values.

    Args:
        path: The file, for errors.
        batch: Rows of the file.
        row: Number of rows before these in the file.

    Raises:
        TableError: A row has too many bytes.
    """
    sizes = sum((decoded_bytes(column) for column in batch.columns), np.zeros(len(batch), np.int64))
    if sizes.sum() <= BATCH_BYTES:
        yield batch
        return
    if sizes.max() > MAX_ROW_BYTES:
        index = int(sizes.argmax())
        raise TableError(
            f"{path}: row {row + index + 1}: found {sizes[index]} bytes; expected at most {MAX_ROW_BYTES >> 20} MiB"
        )
    ends = np.cumsum(sizes)
    start = 0
    while start < len(batch):
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + BATCH_BYTES, side="right")), start + 1)
        yield batch.slice(start, end - start)
        start = end


def decoded_bytes(column: pa.Array) -> Sizes:
    """The decoded size of each row's value in a column, in bytes: int64 [N].

    >>> decoded_bytes(pa.array(["abc", None, "abc"]).dictionary_encode()).tolist()
    [3, 0, 3]
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = decoded_bytes(column.dictionary)
        indices = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.append(values, 0)[indices]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        ends = np.cumsum(np.append(0, pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)))
        return np.diff(np.append(0, np.cumsum(decoded_bytes(pc.list_flatten(column))))[ends])
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return np.full(len(column), VALUE_BYTES, np.int64)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.large_binary())
    return pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
