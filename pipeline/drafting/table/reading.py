"""Reads a table once: counts over all rows, and a sample."""

import dataclasses
import functools
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from custom_components.arrow_example_gen.table import RowChecks, Table, merge_types
from pipeline.drafting.errors import DraftError
from pipeline.drafting.table.counts import ColumnCounts
from pipeline.drafting.table.location import Files
from pipeline.drafting.table.sample import ROWS, Sample

MAX_COLUMNS = 20_000


@dataclasses.dataclass(frozen=True)
class Read:
    """What a table has.

    Attributes:
        rows: Number of rows.
        counts: Counts over all rows, by column in the order of the files.
        sample: Some of the rows, or all of a small table, as the files have them.
        notes: Lines that describe the columns that have no name of their own in the files, and those that are not read.
        test_rows: Number of the rows that are those of the test table.
    """

    rows: int
    counts: dict[str, ColumnCounts]
    sample: pa.Table
    notes: tuple[str, ...] = ()
    test_rows: int = 0

    @functools.cached_property
    def _columns(self) -> dict[str, pa.ChunkedArray]:
        return dict(zip(self.sample.column_names, self.sample.columns, strict=True))

    def sample_of(self, name: str) -> pa.Array:
        """The sample of a column, as the files have it. Records without any value have no such column."""
        if name not in self._columns:
            return pa.nulls(self.sample.num_rows)
        return pa.concat_arrays(self._columns[name].chunks)

    @property
    def is_sampled(self) -> bool:
        """Whether the sample lacks rows."""
        return self.sample.num_rows < self.rows


def read_table(files: Files, max_rows: int = ROWS) -> Read:
    """Reads all rows once, in bounded memory, as ExampleGen does.

    Args:
        files: The files of the table.
        max_rows: Maximum number of rows in the sample.

    Raises:
        DraftError: There are no rows, or too many columns.
        TableError: A file cannot be read, or the files differ in their columns.
    """
    table = Table.of(files.source.format, files.paths[0], dialect=files.source.dialect)
    if table.columns is not None and len(table.columns) > MAX_COLUMNS:
        raise DraftError(f"{table.first}: found {len(table.columns):,} columns; expected at most {MAX_COLUMNS:,}")
    paths = [*files.paths, *files.test_paths]
    for path in paths:
        table.check_columns(path)
    if not table.is_text:
        merge_types(map(table.infer_types, paths))
    rows, test_rows, sample = 0, 0, Sample(max_rows)
    counts = {name: ColumnCounts(name) for name in table.columns or ()}
    for path, batch in _batches(table, paths):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            counts.setdefault(name, ColumnCounts(name)).add(column)
        sample.add(batch)
        rows += len(batch)
        test_rows += len(batch) if path in files.test_paths else 0
    if not rows:
        found = "a header and no rows" if table.is_text else "no rows"
        raise DraftError(f"{files.paths[0]}: found {found}; expected at least one row")
    return Read(rows, counts, sample.rows(), table.column_notes(), test_rows)


def _batches(table: Table, paths: list[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    checks = RowChecks(table)
    for path in paths:
        before = 0
        for batch in table.read(path):
            checks.check(batch, path, before)
            before += len(batch)
            yield path, _decoded(batch) if isinstance(batch, list) else batch


def _decoded(records: list[bytes]) -> pa.RecordBatch:
    """The features of serialized tf.Examples as columns. Those with one value per row are not lists."""
    # Takes 0.2 s to import, and is only needed for records.
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder  # noqa: PLC0415

    batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
    return pa.RecordBatch.from_arrays([_single(column) for column in batch.columns], batch.schema.names)


def _single(column: pa.Array) -> pa.Array:
    """The values of lists, or the lists if one has several values. An empty list is a missing value."""
    if pa.types.is_null(column.type):
        return column
    lengths = pc.list_value_length(column).fill_null(0)
    if (pc.max(lengths).as_py() or 0) > 1:
        return column
    position = pc.if_else(pc.greater(lengths, 0), pc.subtract(pc.cumulative_sum(lengths), 1), None)
    return pc.list_flatten(column).take(position)
