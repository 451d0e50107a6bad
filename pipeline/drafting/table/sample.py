"""A seeded sample of the rows of a table, drawn as the rows are read, in bounded memory."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ROWS = 50_000
CELLS = 4_000_000  # of a wide table, fewer rows are drawn
MIN_ROWS = 500
MAX_BYTES = 400  # of a value


class Sample:
    """The rows with the smallest of one random number per row, in the order of the table."""

    def __init__(self, max_rows: int = ROWS, seed: int = 0) -> None:
        self._max_rows = max_rows
        self._random = np.random.default_rng(seed)
        self._limit = 1.0  # random numbers from here on are not among the smallest
        self._keys: list[npt.NDArray[np.float64]] = []
        self._parts: list[pa.Table] = []
        self._kept = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Draws rows of the next batch."""
        keys = self._random.random(len(batch))
        chosen = np.flatnonzero(keys < self._limit)
        if not len(chosen):
            return
        self._max_rows = min(self._max_rows, max(CELLS // max(batch.num_columns, 1), MIN_ROWS))
        part = pa.Table.from_batches([batch if len(chosen) == len(batch) else batch.take(pa.array(chosen))])
        self._parts.append(_shortened(part))
        self._keys.append(keys[chosen])
        self._kept += len(chosen)
        if self._kept > 2 * self._max_rows:
            self._shrink()

    def rows(self) -> pa.Table:
        """The sample."""
        self._shrink()
        return self._parts[0].combine_chunks() if self._parts else pa.table({})

    def _shrink(self) -> None:
        """Keeps the rows with the smallest random numbers."""
        if not self._parts:
            return
        keys, table = np.concatenate(self._keys), pa.concat_tables(self._parts, promote_options="permissive")
        if len(keys) > self._max_rows:
            self._limit = float(np.partition(keys, self._max_rows)[self._max_rows])
            chosen = keys < self._limit
            keys, table = keys[chosen], table.filter(pa.array(chosen))
        self._keys, self._parts, self._kept = [keys], [table.combine_chunks()], len(keys)


def _shortened(table: pa.Table) -> pa.Table:
    """Cuts long values, of which a sample could fill the memory, and leaves out lists."""
    return pa.table(dict(zip(table.column_names, map(_shortened_column, table.columns), strict=True)))


def _shortened_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return pa.chunked_array([pa.nulls(len(column))])
    if pa.types.is_large_binary(column.type) or pa.types.is_binary(column.type):
        return pc.binary_slice(column, 0, MAX_BYTES)
    if pa.types.is_string(column.type) and (pc.max(pc.binary_length(column)).as_py() or 0) > MAX_BYTES:
        return pc.utf8_slice_codeunits(column, 0, MAX_BYTES)
    return column
