import gzip
from pathlib import Path
from typing import IO

import pyarrow.csv
import pyarrow.parquet
import pytest
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from ingest import ingest, parsed

from common.error_reason import reason
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.table import Table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of 300 rows together; every tenth row has no user, every third no city."""
    folder = tmp_path_factory.mktemp("table")
    for part in range(2):
        lines = ["row,user,city"]
        for row in range(part * 150, part * 150 + 150):
            user = "" if row % 10 == 0 else f"u{row % 40}"
            lines.append(f"{row},{user},{'' if row % 3 == 0 else 'Zürich'}")
        (folder / f"part-{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def by_user(table: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    return ingest(table, tmp_path_factory.mktemp("by_user"), key="user")


def row_numbers(examples: list[tf.train.Example]) -> set[int]:
    return {example.features.feature["row"].int64_list.value[0] for example in examples}


def test_every_row_is_written_once_with_groups_kept_together(by_user: dict[str, list[bytes]]) -> None:
    splits = parsed(by_user)
    assert list(splits) == ["train", "validation", "eval"]
    numbers = [row_numbers(examples) for examples in splits.values()]
    assert set.union(*numbers) == set(range(300))
    assert sum(len(examples) for examples in splits.values()) == 300
    users = [{f"u{row % 40}" for row in part if row % 10} for part in numbers]
    assert all(users)
    assert users[0].isdisjoint(users[1] | users[2])
    assert users[1].isdisjoint(users[2])


def test_an_empty_cell_is_an_absent_feature(by_user: dict[str, list[bytes]]) -> None:
    splits = parsed(by_user)
    for written in (example for examples in splits.values() for example in examples):
        features = written.features.feature
        row = features["row"].int64_list.value[0]
        expected = {"row", *(["user"] if row % 10 else []), *(["city"] if row % 3 else [])}
        assert set(features) == expected
        if row % 3:
            assert features["city"].bytes_list.value[0].decode() == "Zürich"


def test_the_split_follows_the_seed(table: Path, tmp_path: Path) -> None:
    one, other = (row_numbers(parsed(ingest(table, tmp_path / str(seed), seed=seed))["train"]) for seed in (5, 6))
    assert one != other


def test_rows_keep_the_tables_order(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    for part in reversed(range(12)):
        lines = ["row", *(str(row) for row in range(part * 100, part * 100 + 100))]
        (folder / f"part-{part:02}.csv").write_text("\n".join(lines) + "\n")
    for split in parsed(ingest(folder, tmp_path)).values():
        numbers = [example.features.feature["row"].int64_list.value[0] for example in split]
        assert numbers
        assert numbers == sorted(numbers)


def test_the_same_rows_as_parquet_and_as_records_fall_into_the_same_splits(
    table: Path, by_user: dict[str, list[bytes]], tmp_path: Path
) -> None:
    for part in (0, 1):
        missing = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
        read = pyarrow.csv.read_csv(table / f"part-{part}.csv", convert_options=missing)
        pyarrow.parquet.write_table(read, table / f"part-{part}.parquet")
    assert ingest(table, tmp_path / "parquet", "*.parquet", key="user") == by_user
    with tf.io.TFRecordWriter(str(table / "rows.tfrecord.gz"), "GZIP") as writer:
        for record in sorted(record for rows in by_user.values() for record in rows):
            writer.write(record)
    by_record = ingest(table, tmp_path / "tfrecord", "*.tfrecord.gz", key="user")
    assert by_record == {name: sorted(rows) for name, rows in by_user.items()}


def test_a_file_that_cannot_be_read_is_one_line_and_leaves_no_split(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"a,b\n1,2\n")
    (folder / "b.csv").write_bytes(b"a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"b\.csv") as caught:
        ingest(folder, tmp_path / "out")
    assert reason(caught.value) == f"{folder}/b.csv: line 3: found 1 value; expected 2, as in the header"
    assert list((tmp_path / "out").glob("Split-*/*")) == []


def test_a_pattern_without_files_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^found no file that matches /nowhere/\*.csv; expected at least one$"):
        ingest(Path("/nowhere"), Path("/nowhere/out"))


def test_a_file_in_a_bucket_is_unzipped_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))

    def download(path: str, compression_type: str) -> IO[bytes]:
        assert compression_type == CompressionTypes.UNCOMPRESSED
        return (tmp_path / path.removeprefix("gs://bucket/")).open("rb")

    monkeypatch.setattr(FileSystems, "open", download)
    table = Table.of("csv", "gs://bucket/a.csv.gz")
    assert [len(batch) for batch in table.read(table.first)] == [1]
    with pytest.raises(TableError, match=r"^gs://bucket/b.csv: No such file or directory; expected a readable file"):
        Table.of("csv", "gs://bucket/b.csv")
