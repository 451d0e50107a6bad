"""Reads tf.Examples from TFRecord files into Arrow, and writes them, one batch at a time.

TFX's source and sink pass each row through Beam separately, read in Python, and compress at zlib's level 6.
"""

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from apache_beam.io.filebasedsink import FileBasedSink
from apache_beam.io.filesystem import CompressionTypes
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

from custom_components.shared.beam_workers import has_several_workers
from custom_components.shared.examples import SUFFIX, TFRECORD_OPTIONS

# TFX's limits: 8,192 rows, or 20 MiB if rows are larger than 2.5 kB.
BATCH_ROWS = 8192
BATCH_BYTES = 20 << 20
READ_ROWS = 256  # that TensorFlow returns at once
READ_BYTES = 1 << 20  # size of the read buffer
FRAME_BYTES = 16  # of a TFRecord in addition to the record: its length, and two checksums
ISIZE_BYTES = 4  # at the end of a gzip file: the length of the decompressed data
TRUNCATED = "the file is truncated; expected the complete file: write it again with --no-cache"
# Modules that affect what is written, for the digest in a node's properties.
MODULES = (__name__, "custom_components.shared.examples", "custom_components.shared.beam_workers")


class ExamplesByBatch(TFExampleRecord):
    """TFX's ``TFXIO`` for tf.Examples in gzipped TFRecords, with a source that reads and decodes batches.

    Batches are made file by file, so they are the same each time. As long as one worker reads all files, sums over
    them do not differ between runs.
    """

    def __init__(self, files: Sequence[str], schema: schema_pb2.Schema | None = None) -> None:
        """Creates the ``TFXIO``.

        Args:
            files: Paths of the files.
            schema: Schema of the columns to read. ``None`` reads all columns and infers their types.
        """
        super().__init__(list(files), schema=schema)

    def BeamSource(self, batch_size: int | None = None) -> beam.PTransform:
        """A Beam source of record batches.

        Args:
            batch_size: Maximum number of rows in a batch, or ``None`` for TFX's 8,192.

        Returns:
            A transform that yields batches with one column per feature: large lists of int64, float32 or large binary,
            null where the feature is missing. It raises ``tf.errors.DataLossError`` for a damaged file.
        """
        return _ReadBatches(self._file_pattern, self._schema, batch_size or BATCH_ROWS)

    def _ProjectImpl(self, tensor_names: list[str]) -> "ExamplesByBatch":
        return ExamplesByBatch(self._file_pattern, super()._ProjectImpl(tensor_names)._schema)


class WriteExamples(beam.PTransform):
    """Writes record batches as tf.Examples to gzipped TFRecord files. Each worker writes one file, in order."""

    def __init__(self, prefix: str, schema: schema_pb2.Schema) -> None:
        """Creates the transform.

        Args:
            prefix: Prefix of the files' paths.
            schema: Schema of the columns.
        """
        super().__init__()
        self._prefix, self._schema = prefix, schema

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """Returns a collection of the files' paths."""
        encoder = RecordBatchToExamplesEncoder(self._schema)
        records = batches | "Encode" >> beam.Map(encoder.encode).with_output_types(list[bytes])
        return records | "Write" >> beam.io.Write(_Sink(self._prefix))


class _ReadBatches(beam.PTransform):
    def __init__(self, files: Sequence[str], schema: schema_pb2.Schema | None, max_rows: int) -> None:
        super().__init__()
        self._files, self._schema, self._max_rows = files, schema, max_rows

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        decoder = ExamplesToRecordBatchDecoder(self._schema and self._schema.SerializeToString())
        files = beam.Create(self._files, reshuffle=has_several_workers(pipeline.pipeline.options))
        records = pipeline | "Files" >> files | "Read" >> beam.FlatMap(read_records, self._max_rows)
        return records | "Decode" >> beam.Map(decoder.DecodeBatch).with_output_types(pa.RecordBatch)


def read_records(path: str, max_rows: int = BATCH_ROWS) -> Iterator[list[bytes]]:
    """Yields the records of a gzipped TFRecord file in batches of ``max_rows``, or fewer if they are large.

    Raises:
        tf.errors.DataLossError: The file is damaged. TensorFlow does not detect a file that is truncated between two
            records. Here the decompressed length is compared with the length at the end of the file, which must have a
            single gzip member.
    """
    batch: list[bytes] = []
    size = unzipped = 0
    dataset = tf.data.TFRecordDataset(path, "GZIP", READ_BYTES)
    for records in dataset.batch(min(READ_ROWS, max_rows)).as_numpy_iterator():
        batch += records.tolist()
        length = sum(map(len, records))
        size += length
        unzipped += length + FRAME_BYTES * len(records)
        if len(batch) >= max_rows or size >= BATCH_BYTES:
            yield batch[:max_rows]
            batch = batch[max_rows:]
            size = sum(map(len, batch))
    if batch:
        yield batch
    if unzipped % 2**32 != _unzipped_bytes(path):
        raise tf.errors.DataLossError(None, None, f"{path}: {TRUNCATED}")


def _unzipped_bytes(path: str) -> int | None:
    """The decompressed length modulo 2³² at the end of a gzip file (RFC 1952, ISIZE). ``None`` if too short."""
    with tf.io.gfile.GFile(path, "rb") as file:
        if file.size() < ISIZE_BYTES:
            return None
        file.seek(file.size() - ISIZE_BYTES)
        return int.from_bytes(file.read(ISIZE_BYTES), "little")


class _Sink(FileBasedSink):
    def __init__(self, prefix: str) -> None:
        # TensorFlow compresses, and Beam moves the files.
        super().__init__(prefix, None, SUFFIX, compression_type=CompressionTypes.UNCOMPRESSED)

    def open(self, temp_path: str) -> tf.io.TFRecordWriter:
        return tf.io.TFRecordWriter(temp_path, TFRECORD_OPTIONS)

    def write_record(self, file_handle: tf.io.TFRecordWriter, value: list[bytes]) -> None:
        for record in value:
            file_handle.write(record)
