"""Small files that decode to gigabytes are refused or read in parts."""

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from custom_components.arrow_example_gen.executor import NumberedFile, batches_of
from custom_components.arrow_example_gen.formats import csv_errors, files
from custom_components.arrow_example_gen.formats.csv_types import CellError
from custom_components.arrow_example_gen.formats.decoded_size import by_bytes, decoded_bytes
from custom_components.arrow_example_gen.formats.files import BATCH_BYTES, TableError
from custom_components.arrow_example_gen.formats.tfrecord_files import _masked_checksum
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.seeded_split import Split

MEMBER = gzip.compress(bytes(1 << 20))  # 1 kB that unzips to 1 MiB
GIGABYTES = MEMBER * 1_500
MAX_BYTES = 64 << 20
TEXT = "x" * 200_000


@pytest.fixture
def bounded() -> Iterator[None]:
    """Fails the test if Python allocates much more than a batch at any time."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MAX_BYTES


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.usefixtures("bounded")
def test_a_header_of_gigabytes_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv.gz", GIGABYTES)
    with pytest.raises(
        TableError, match=r"a\.csv\.gz: line 1: found a line of more than 4194304 characters; expected a"
    ):
        Table.of("csv", path)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_line_of_gigabytes_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(b"a,b\n1,2\n") + GIGABYTES)
    else:
        with path.open("wb") as file:
            file.write(b"a,b\n1,2\n")
            file.truncate(1_500 << 20)  # a sparse file
    table = Table.of("csv", str(path))
    with pytest.raises(TableError, match="line 3: found a row of more than 4 MiB"):
        list(table.read(str(path)))
    # What is read again to find a line is bounded, too.
    assert csv_errors.ragged_row(str(path), 2) is None
    assert csv_errors.last_row(str(path)) == 2
    error = csv_errors.cell_error(str(path), 1, "a", CellError(b"1", "text"))
    assert ": line 2: column 'a'" in str(error)


@pytest.mark.usefixtures("bounded")
def test_a_record_of_gigabytes_is_refused(tmp_path: Path) -> None:
    size = (1_500 << 20).to_bytes(8, "little")
    path = written(tmp_path / "a.tfrecord.gz", gzip.compress(size + _masked_checksum(size)) + GIGABYTES)
    with pytest.raises(TableError, match="record 1: found 1572864000 bytes; expected at most 64 MiB"):
        list(Table.of("tfrecord", path).read(path))


@pytest.mark.usefixtures("bounded")
def test_a_gzip_file_that_unzips_to_far_more_than_a_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 8 << 20)
    rows = gzip.compress(b"1,2\n" * (1 << 18)) * 20
    path = written(tmp_path / "a.csv.gz", gzip.compress(b"a,b\n") + rows)
    with pytest.raises(
        TableError, match=r"found more than \d+ MiB in the first \d+ bytes of the gzip file; expected a"
    ):
        list(Table.of("csv", path).read(path))


def shared_text(path: Path, rows: int) -> str:
    """Rows that share one text of 200 kB, stored once."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([TEXT]))
    pq.write_table(pa.table({"a": range(rows), "x": column}), path, store_schema=False)  # a column of plain text
    return str(path)


@pytest.mark.usefixtures("bounded")
def test_rows_that_share_a_long_text_are_read_in_parts(tmp_path: Path) -> None:
    path = shared_text(tmp_path / "a.parquet", 2_000)
    assert Path(path).stat().st_size < 1 << 20
    table = Table.of("parquet", path)
    total, before = 0, pa.total_allocated_bytes()
    for batch in table.read(path):
        assert isinstance(batch, pa.RecordBatch)
        assert decoded_bytes(batch.column("x")).sum() <= BATCH_BYTES
        assert pa.total_allocated_bytes() - before < MAX_BYTES
        total += len(batch)
    assert total == 2_000
    encoded = next(batches_of(NumberedFile(0, path), table, Split(("all",), (1,), 0, None), {}))
    assert 10 < len(encoded.rows["all"]) < 100


def test_lists_that_share_a_long_text_are_read_in_parts_and_a_row_has_a_limit(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([[TEXT] * 20] * 20 + [None, []])}), path)
    parts = list(Table.of("parquet", path).read(path))
    assert [len(part) for part in parts[:2]] == [4, 4]
    assert sum(map(len, parts)) == 22
    batch = pa.RecordBatch.from_pydict({"x": pa.array([["a"], [TEXT] * 400])})
    with pytest.raises(TableError, match=r"^f: row 8: found 80000000 bytes; expected at most 64 MiB$"):
        list(by_bytes("f", batch, 6))
