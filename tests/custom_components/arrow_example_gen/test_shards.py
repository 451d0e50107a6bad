"""Compares the splits and the order of the written rows with their definition."""

from pathlib import Path

import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest import ingest, records

from custom_components.arrow_example_gen import shards
from custom_components.arrow_example_gen.encoding import encode, to_bytes, varint
from custom_components.arrow_example_gen.shards import Batch, ShardSink
from custom_components.arrow_example_gen.splits.hash_split import split_columns
from custom_components.arrow_example_gen.splits.record_hash import split_records
from custom_components.shared.seeded_split import split_index
from custom_components.shared.split_hash import Split

SPLIT = Split(("train", "validation", "eval"), (7, 8, 10), seed=3, key=None)
BY_USER = Split(("train", "validation", "eval"), (7, 8, 10), seed=3, key="user")
names = st.sampled_from(["user", "user_age", "fare", "größe", "Z", "a b", "x" * 200, "\U0001f695"])
columns_of_five = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=5, max_size=5).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.none() | st.floats(width=32), min_size=5, max_size=5).map(lambda v: pa.array(v, pa.float32())),
    st.lists(st.none() | st.binary(max_size=300), min_size=5, max_size=5).map(lambda v: pa.array(v, pa.large_binary())),
    st.lists(st.none() | st.lists(st.integers(0, 9), max_size=2), min_size=5, max_size=5).map(
        lambda v: pa.array(v, pa.large_list(pa.int64()))
    ),
)


def values(feature: tf.train.Feature) -> list[object]:
    return list(getattr(feature, feature.WhichOneof("kind")).value)


def listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


@settings(deadline=None)
@given(columns=st.dictionaries(names, columns_of_five, min_size=1, max_size=4))
def test_rows_equal_protobufs_deterministic_serialization(columns: dict[str, pa.Array]) -> None:
    rows = to_bytes(encode(columns))
    assert len(rows) == 5
    for number, row in enumerate(rows):
        example = tf.train.Example.FromString(row)
        assert example.SerializeToString(deterministic=True) == row
        expected = {name: column[number].as_py() for name, column in columns.items()}
        found = {name: values(feature) for name, feature in example.features.feature.items()}
        assert repr(found) == repr({name: listed(expected[name]) for name in found})  # NaN is not equal to itself
        assert set(found) == {name for name, value in expected.items() if value not in (None, [])}


@settings(deadline=None)
@given(columns=st.dictionaries(names, columns_of_five, min_size=1, max_size=4), split=st.sampled_from([SPLIT, BY_USER]))
def test_the_split_is_that_of_split_index(columns: dict[str, pa.Array], split: Split) -> None:
    rows = to_bytes(encode(columns))
    expected = [split_index(tf.train.Example.FromString(row), 3, split.bounds, split.seed, split.key) for row in rows]
    assert split_columns(columns, rows, split) == expected
    assert split_records(rows, split, "t.tfrecord", 0) == expected


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16383, 16384, 2**31])
def test_varint_is_protobufs(number: int) -> None:
    feature = tf.train.Feature(int64_list={"value": [number]}).SerializeToString()
    assert feature.endswith(varint(number))
    assert len(varint(number)) == feature[-len(varint(number)) - 1]


def test_an_invalid_record_is_reported_with_its_number(tmp_path: Path) -> None:
    good = tf.train.Example().SerializeToString()
    with pytest.raises(ValueError, match=r"^t.tfrecord: record 12: not a valid tf.Example; expected one per record$"):
        split_records([good, b"no example"], SPLIT, "t.tfrecord", 10)


def write(sink: ShardSink, folder: str, *batches: Batch) -> shards.Written:
    writer = sink.open_writer(folder, f"worker-{batches[0].position}")
    for batch in batches:
        writer.write(batch)
    return writer.close()


def batch(file: int, number: int, *rows: bytes) -> Batch:
    return Batch((file, number), {"train": rows, "eval": ()})


def test_shards_are_sorted_into_the_tables_order(tmp_path: Path) -> None:
    sink = ShardSink(str(tmp_path), ["train", "eval"])
    folder = sink.initialize_write()
    first = write(sink, folder, batch(3, 0, b"7"), batch(1, 0, b"3"), batch(1, 1, b"4"), batch(2, 0, b"5", b"6"))
    second = write(sink, folder, batch(0, 0, b"1"), batch(0, 1, b"2"))
    targets = sink.finalize_write(folder, [first, second], sink.pre_finalize(folder, []))
    assert records(tmp_path, "train") == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]
    assert records(tmp_path, "eval") == []
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "Split-eval/data_tfrecord-00000-of-00001.gz",
        *(f"Split-train/data_tfrecord-{number:05}-of-00003.gz" for number in range(3)),
    ]
    assert sorted(targets) == [str(tmp_path / name) for name in found]
    assert not Path(folder).exists()


def test_an_interrupted_move_is_finished_and_earlier_files_are_removed(tmp_path: Path) -> None:
    sink = ShardSink(str(tmp_path), ["train"])
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-train/data_tfrecord-00007-of-00009.gz").write_bytes(b"old")
    folder = sink.initialize_write()
    written = [write(sink, folder, batch(number, 0, b"%d" % number)) for number in range(2)]
    left = sink.pre_finalize(folder, written)
    (tmp_path / "Split-train/data_tfrecord-00000-of-00002.gz").write_bytes(Path(written[0].shards[0].path).read_bytes())
    Path(written[0].shards[0].path).unlink()  # as if the move had been interrupted after the first file
    sink.finalize_write(folder, written, left)
    assert sink.finalize_write(folder, written, left) == []
    assert records(tmp_path, "train") == [b"0", b"1"]


def test_a_shard_holds_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    sink = ShardSink(str(tmp_path), ["train", "eval"])
    folder = sink.initialize_write()
    written = write(sink, folder, *(batch(0, number, b"%030d" % number, b"x" * 30) for number in range(10)))
    sink.finalize_write(folder, [written], [])
    assert [int(row) for row in records(tmp_path, "train")[::2]] == list(range(10))
    assert len(list((tmp_path / "Split-train").iterdir())) == 5
    assert len(list((tmp_path / "Split-eval").iterdir())) == 1


@pytest.mark.slow
def test_several_processes_write_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    for part in range(5):
        lines = ["row", *(str(row) for row in range(part * 1000, part * 1000 + 1000))]
        (folder / f"part-{part}.csv").write_text("\n".join(lines) + "\n")
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert ingest(folder, tmp_path / "several", options=options) == ingest(folder, tmp_path / "one")
