"""Small files that decode to gigabytes are refused or read in parts."""

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from custom_components.arrow_example_gen.executor import batches_of
from custom_components.arrow_example_gen.formats import csv_errors, files, parquet_files, parquet_pages
from custom_components.arrow_example_gen.formats.csv_types import CellError
from custom_components.arrow_example_gen.formats.decoded_size import by_bytes, decoded_bytes
from custom_components.arrow_example_gen.formats.files import BATCH_BYTES, TableError
from custom_components.arrow_example_gen.formats.tfrecord_files import _masked_checksum
from custom_components.arrow_example_gen.splits.hash_split import HashSplit
from custom_components.arrow_example_gen.splits.strategy import NumberedFile
from custom_components.arrow_example_gen.table import Table
from custom_components.shared.split_hash import Split

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
    encoded = next(batches_of(NumberedFile(0, path), table, ["all"], {}, HashSplit(Split(("all",), (1,), 0, None))))
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


def test_rows_whose_texts_share_a_long_prefix_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "SHARED_BYTES", 8 << 20)
    path = str(tmp_path / "a.parquet")
    texts = pa.table({"x": [f"{TEXT}{number}" for number in range(300)]})
    pq.write_table(texts, path, use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"})
    assert Path(path).stat().st_size < 1 << 20
    del texts
    before, total = pa.total_allocated_bytes(), 0
    for batch in Table.of("parquet", path).read(path):
        assert pa.total_allocated_bytes() - before < 32 << 20
        total += len(batch)
    assert total == 300


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_page_that_decodes_to_far_more_than_a_table_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(parquet_pages, "BOMB_BYTES", 1 << 20)
    path = str(tmp_path / "a.parquet")
    bomb = pa.table({"n": [1, 2], "x": ["y", "x" * (2 << 20)]})
    pq.write_table(bomb, path, use_dictionary=False, compression="zstd", data_page_version=version)
    del bomb
    before = pa.total_allocated_bytes()
    with pytest.raises(
        TableError, match=r"a\.parquet: row group 1: column 'x': found 2097\d+ bytes in a page of \d+ bytes; expected"
    ):
        list(Table.of("parquet", path).read(path))
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_lists_of_many_values_in_one_page_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "MAX_LIST_VALUES", 1_000)
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": range(2_000), "x": pa.array([[7] * 1_001] + [[]] * 1_999)}), path)
    with pytest.raises(
        TableError, match=r"row group 1: column 'x\.list\.element': found 3000 values of lists in a page"
    ):
        list(Table.of("parquet", path).read(path))


@pytest.mark.parametrize(
    ("found", "put", "message"),
    [
        (b"PAR1\x15", b"PAR1\x00", "row group 1: column 'x': the page at byte 4 is damaged; expected a valid file"),
        (b"PAR1\x15", b"PAR1\xff", "row group 1: column 'x': the page at byte 4 is damaged; expected a valid file"),
        (b"%\x02\x18\x01x", b"%\x02\x18\x01\xff", "the file is damaged or has changed .'utf-8' codec can't decode"),
    ],
)
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, found: bytes, put: bytes, message: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": range(9)}), path, store_schema=False)
    content = path.read_bytes()
    assert found in content
    path.write_bytes(content.replace(found, put, 1))
    with pytest.raises(TableError, match=message):
        list(Table.of("parquet", str(path)).read(str(path)))


@pytest.mark.parametrize(
    "options", [{}, {"data_page_version": "2.0", "compression": "gzip"}, {"use_dictionary": False}]
)
def test_the_largest_page_of_a_file_is_found(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {"n": range(100_000), "t": [f"{number}" * 30 for number in range(100_000)], "z": pa.nulls(100_000)}
    )
    pq.write_table(table, path, row_group_size=40_000, data_page_size=1 << 18, **options)
    with path.open("rb") as file:
        largest = parquet_pages.check_pages("a", file, pq.read_metadata(path))
    assert 1 << 18 < largest < 1 << 21
