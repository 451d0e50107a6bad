"""tf.Examples between TFRecord files and Arrow, whole batches at once.

TFX's own source and sink pass each row through Beam by itself, read in Python, and zip at zlib's level 6.
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

# Of TFX: 8,192 rows, or 20 MiB if rows are larger than 2.5 kB.
BATCH_ROWS = 8192
BATCH_BYTES = 20 << 20
READ_ROWS = 256  # that TensorFlow hands over at once
READ_BYTES = 1 << 20  # of a file's buffer
FRAME_BYTES = 16  # of a TFRecord beside the record itself: its length, and the checksums of both
ISIZE_BYTES = 4  # at the end of a gzip file: the length of what it unzips to
CUT_OFF = "the file is cut off; expected it as it was written, so have it made again: --no-cache"
# The modules that what is written depends on, for the digest in a node's settings.
MODULES = (__name__, "custom_components.shared.examples", "custom_components.shared.beam_workers")


class ExamplesByBatch(TFExampleRecord):
    """TFX's access to tf.Examples in gzipped TFRecords, with a source that reads and decodes whole batches.

    Batches are made file by file, and so the same each time: what is added up of them does not differ from run to run,
    as long as one worker reads all files.
    """

    def __init__(self, files: Sequence[str], schema: schema_pb2.Schema | None = None) -> None:
        """Describes files.

        Args:
            files: Their paths.
            schema: Of the columns to read; ``None`` reads all, with the types that they are found to have.
        """
        super().__init__(list(files), schema=schema)

    def BeamSource(self, batch_size: int | None = None) -> beam.PTransform:
        """A transform from a pipeline to record batches.

        Args:
            batch_size: Most rows of a batch; ``None`` leaves it at TFX's 8,192.

        Returns:
            What gives batches of large lists of int64, float32 or large binary, a column a feature, null where a row
            lacks it. It raises ``tf.errors.DataLossError`` at a broken file.
        """
        return _ReadBatches(self._file_pattern, self._schema, batch_size or BATCH_ROWS)

    def _ProjectImpl(self, tensor_names: list[str]) -> "ExamplesByBatch":
        return ExamplesByBatch(self._file_pattern, super()._ProjectImpl(tensor_names)._schema)


class WriteExamples(beam.PTransform):
    """Writes record batches as tf.Examples to gzipped TFRecord files; one worker writes one file, in their order."""

    def __init__(self, prefix: str, schema: schema_pb2.Schema) -> None:
        """Makes the transform.

        Args:
            prefix: What the files' paths begin with.
            schema: Of the columns.
        """
        super().__init__()
        self._prefix, self._schema = prefix, schema

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """Returns a collection of the files' paths."""
        encoder = RecordBatchToExamplesEncoder(self._schema)
        records = batches | "Encode" >> beam.Map(encoder.encode).with_output_types(list[bytes])
        return records | "Write" >> beam.io.Write(_Sink(self._prefix))


class _ReadBatches(beam.PTransform):
    def __init__(self, files: Sequence[str], schema: schema_pb2.Schema | None, most_rows: int) -> None:
        super().__init__()
        self._files, self._schema, self._most_rows = files, schema, most_rows

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        decoder = ExamplesToRecordBatchDecoder(self._schema and self._schema.SerializeToString())
        files = beam.Create(self._files, reshuffle=has_several_workers(pipeline.pipeline.options))
        records = pipeline | "Files" >> files | "Read" >> beam.FlatMap(read_records, self._most_rows)
        return records | "Decode" >> beam.Map(decoder.DecodeBatch).with_output_types(pa.RecordBatch)


def read_records(path: str, most_rows: int = BATCH_ROWS) -> Iterator[list[bytes]]:
    """Yields the records of a gzipped TFRecord file, ``most_rows`` at once, or fewer if they are large.

    Raises:
        tf.errors.DataLossError: The file is broken. TensorFlow takes one that is cut off between two records for whole;
            here what it unzips to is held against the length at its end, which is that of a file of one gzip member.
    """
    batch: list[bytes] = []
    size = unzipped = 0
    dataset = tf.data.TFRecordDataset(path, "GZIP", READ_BYTES)
    for records in dataset.batch(min(READ_ROWS, most_rows)).as_numpy_iterator():
        batch += records.tolist()
        length = sum(map(len, records))
        size += length
        unzipped += length + FRAME_BYTES * len(records)
        if len(batch) >= most_rows or size >= BATCH_BYTES:
            yield batch[:most_rows]
            batch = batch[most_rows:]
            size = sum(map(len, batch))
    if batch:
        yield batch
    if unzipped % 2**32 != _unzipped_bytes(path):
        raise tf.errors.DataLossError(None, None, f"{path}: {CUT_OFF}")


def _unzipped_bytes(path: str) -> int | None:
    """What a gzip file of one member says that it holds, modulo 2³² (RFC 1952, ISIZE); ``None`` of a file too short."""
    with tf.io.gfile.GFile(path, "rb") as file:
        if file.size() < ISIZE_BYTES:
            return None
        file.seek(file.size() - ISIZE_BYTES)
        return int.from_bytes(file.read(ISIZE_BYTES), "little")


class _Sink(FileBasedSink):
    def __init__(self, prefix: str) -> None:
        # TensorFlow zips, and Beam moves files to their places.
        super().__init__(prefix, None, SUFFIX, compression_type=CompressionTypes.UNCOMPRESSED)

    def open(self, temp_path: str) -> tf.io.TFRecordWriter:
        return tf.io.TFRecordWriter(temp_path, TFRECORD_OPTIONS)

    def write_record(self, file_handle: tf.io.TFRecordWriter, value: list[bytes]) -> None:
        for record in value:
            file_handle.write(record)
