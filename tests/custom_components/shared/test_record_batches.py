"""Compares reading and writing in batches with TFX's source and with TensorFlow."""

import itertools
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord
from tfx_bsl.tfxio.tfxio import TFXIO

from custom_components.shared import record_batches
from custom_components.shared.beam_workers import has_several_workers
from custom_components.shared.record_batches import ExamplesByBatch, WriteExamples, read_records

SCHEMA = text_format.Parse(
    """
    feature { name: "number" type: INT }
    feature { name: "share" type: FLOAT }
    feature { name: "tags" type: BYTES }
    """,
    schema_pb2.Schema(),
)
COLUMNS = ("number", "share", "tags")
RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
MODE = "--direct_running_mode="


def example(number: int) -> tf.train.Example:
    """A row; every third lacks its share, and tags are none, one or two."""
    feature = {
        "number": tf.train.Feature(int64_list={"value": [number]}),
        "tags": tf.train.Feature(bytes_list={"value": [b"t\xff%d" % each for each in range(number % 3)]}),
    }
    if number % 3:
        feature["share"] = tf.train.Feature(float_list={"value": [number / 7]})
    return tf.train.Example(features={"feature": feature})


def write(path: Path, records: Sequence[bytes], compression: str = "GZIP") -> str:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def rows(first: int, last: int) -> list[bytes]:
    return [example(number).SerializeToString() for number in range(first, last)]


def check(source: TFXIO, expected: Sequence[pa.RecordBatch]) -> None:
    """Checks the batches of a source."""
    with beam.Pipeline(FnApiRunner()) as pipeline:
        assert_that(pipeline | source.BeamSource(), equal_to(list(expected), pa.RecordBatch.equals))


def by_tfx(files: list[str], schema: schema_pb2.Schema | None) -> pa.RecordBatch:
    """All rows as TFX decodes them."""
    options = RecordBatchesOptions(batch_size=10_000, drop_final_batch=False, num_epochs=1, shuffle=False)
    [batch] = TFExampleRecord(files, schema=schema).RecordBatches(options)
    return batch


@pytest.mark.parametrize("schema", [SCHEMA, None])
def test_batches_equal_those_that_tfx_decodes_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: schema_pb2.Schema | None
) -> None:
    monkeypatch.setattr(record_batches, "BATCH_ROWS", 20)
    files = [
        write(tmp_path / "a.gz", rows(0, 50)),
        write(tmp_path / "b.gz", []),
        write(tmp_path / "c.gz", rows(50, 57)),
    ]
    expected = by_tfx(files, schema)
    check(ExamplesByBatch(files, schema), [expected[0:20], expected[20:40], expected[40:50], expected[50:57]])


def test_only_columns_that_are_asked_for_are_decoded(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.gz", rows(0, 9))]
    projected = ExamplesByBatch(files, SCHEMA).Project(["share", "tags"])
    check(projected, [by_tfx(files, SCHEMA).select(["share", "tags"])])
    assert set(projected.TensorAdapter().OriginalTypeSpecs()) == {"number", "share", "tags"}


def test_large_records_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batches, "BATCH_BYTES", 1000)
    monkeypatch.setattr(record_batches, "READ_ROWS", 2)
    path = write(tmp_path / "a.gz", [b"x" * 300] * 5 + [b"y" * 9000] + [b"z"] * 3)
    assert [[len(record) for record in batch] for batch in read_records(path)] == [[300] * 4, [300, 9000], [1, 1, 1]]


def test_batches_have_as_many_rows_as_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gz", rows(0, 1000))
    assert [len(batch) for batch in read_records(path, 300)] == [300, 300, 300, 100]
    assert list(itertools.chain(*read_records(path, 300))) == rows(0, 1000)


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    content, between = compressed_by_record(Path(write(tmp_path / "plain", rows(0, 8), "")))
    path.write_bytes(content)
    assert list(itertools.chain(*read_records(str(path)))) == rows(0, 8)
    # Between two records, where TensorFlow finds no error, next to that, within one, and within gzip's own last bytes.
    around = {end + step for end in between for step in (-1, 0, 1)}
    for end in sorted({*around, between[3] + 11, *range(between[-1], len(content))}):
        path.write_bytes(content[:end])
        with pytest.raises(tf.errors.DataLossError):
            list(read_records(str(path)))


def compressed_by_record(plain: Path) -> tuple[bytes, list[int]]:
    """Compresses a TFRecord file so that each record ends at the end of a byte; returns these places, too."""
    compressor, content, places = zlib.compressobj(wbits=31), b"", []
    rest = plain.read_bytes()
    while rest:
        length = int.from_bytes(rest[:8], "little") + record_batches.FRAME_BYTES
        content += compressor.compress(rest[:length]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        places.append(len(content))
        rest = rest[length:]
    return content + compressor.flush(), places


@pytest.mark.parametrize("damage", [lambda content: content[:3], lambda _: b"", lambda _: b"no gzip at all"])
def test_a_broken_file_is_an_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = Path(write(tmp_path / "a.gz", rows(0, 500)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(tf.errors.DataLossError):
        list(read_records(str(path)))


@pytest.mark.parametrize("count", [0, 1, 50])
def test_rows_are_written_as_read_and_in_order(tmp_path: Path, count: int) -> None:
    files = [write(tmp_path / "a.gz", rows(0, count)), write(tmp_path / "b.gz", rows(count, 2 * count))]
    with beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | ExamplesByBatch(files, SCHEMA).BeamSource() | WriteExamples(str(tmp_path / "out/rows"), SCHEMA)
    [path] = (tmp_path / "out").iterdir()
    assert path.name == "rows-00000-of-00001.gz"
    dataset = tf.data.TFRecordDataset(str(path), "GZIP")
    found = [tf.train.Example.FromString(record) for record in dataset.as_numpy_iterator()]
    expected = [example(number) for number in range(2 * count)]
    for each in expected:
        # tfx_bsl writes a feature without values for what is missing.
        for name in COLUMNS:
            each.features.feature[name].SetInParent()
    assert [values(each) for each in found] == [values(each) for each in expected]


def values(row: tf.train.Example) -> dict[str, list[object]]:
    lists = {name: feature.WhichOneof("kind") for name, feature in row.features.feature.items()}
    return {name: list(getattr(row.features.feature[name], kind).value) if kind else [] for name, kind in lists.items()}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([RUNNER], False),
        ([RUNNER, MODE + "multi_processing"], True),
        ([RUNNER, MODE + "in_memory"], False),
        (["--runner=DataflowRunner"], True),
        ([], True),
    ],
)
def test_files_are_spread_where_there_are_several_workers(arguments: list[str], found: bool) -> None:
    assert has_several_workers(PipelineOptions(arguments)) is found


@pytest.mark.slow
def test_several_workers_read_and_write_every_row_once(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.gz", rows(100 * number, 100 * number + 100)) for number in range(6)]
    options = PipelineOptions([RUNNER, MODE + "multi_processing", "--direct_num_workers=2"])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | ExamplesByBatch(files, SCHEMA).BeamSource() | WriteExamples(str(tmp_path / "out/rows"), SCHEMA)
    written = sorted(str(path) for path in (tmp_path / "out").iterdir())
    found = [record for path in written for batch in read_records(path) for record in batch]
    numbers = [tf.train.Example.FromString(each).features.feature["number"].int64_list.value[0] for each in found]
    assert sorted(numbers) == list(range(600))
