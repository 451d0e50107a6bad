"""tf.Examples between TFRecord files and Arrow, whole batches at once.

TFX's own source and sink pass each row through Beam by itself, zip at zlib's level 6, and read in Python.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from apache_beam.io.filebasedsink import FileBasedSink
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

# A batch is as large as TFX's, of rows up to 2.5 kB by their number: the overhead of a batch no longer counts.
BATCH_ROWS = 8192
BATCH_BYTES = 20 << 20
READ_ROWS = 256  # that TensorFlow hands over at once
READ_BYTES = 1 << 20
# A quarter larger than at zlib's own level, 6, and written in a third of the time.
OPTIONS = tf.io.TFRecordOptions("GZIP", compression_level=1)
SUFFIX = ".gz"


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
        """A transform from a pipeline to record batches of large lists, one column a feature."""
        return _ReadBatches(self._file_pattern, self._schema, batch_size or BATCH_ROWS)

    def _ProjectImpl(self, tensor_names: list[str]) -> "ExamplesByBatch":
        return ExamplesByBatch(self._file_pattern, super()._ProjectImpl(tensor_names)._schema)


class WriteExamples(beam.PTransform):
    """Writes record batches as tf.Examples to gzipped TFRecord files, in the order in which they come."""

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
        return batches | "Encode" >> beam.ParDo(_Encode(self._schema)) | "Write" >> beam.io.Write(_Sink(self._prefix))


def has_several_workers(options: PipelineOptions) -> bool:
    """Whether files are spread over workers; a single one reads them in their order."""
    runner = options.view_as(StandardOptions).runner or ""
    return "FnApiRunner" not in runner or options.view_as(DirectOptions).direct_running_mode != "in_memory"


class _ReadBatches(beam.PTransform):
    def __init__(self, files: Sequence[str], schema: schema_pb2.Schema | None, rows: int) -> None:
        super().__init__()
        self._files, self._schema, self._rows = files, schema, rows

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        reshuffle = has_several_workers(pipeline.pipeline.options)
        files = pipeline | "Files" >> beam.Create(self._files, reshuffle=reshuffle)
        return files | "Read" >> beam.ParDo(_Read(self._schema, self._rows))


@beam.typehints.with_input_types(str)
@beam.typehints.with_output_types(pa.RecordBatch)
class _Read(beam.DoFn):
    def __init__(self, schema: schema_pb2.Schema | None, rows: int) -> None:
        self._schema, self._rows = schema and schema.SerializeToString(), rows

    def setup(self) -> None:
        self._decoder = ExamplesToRecordBatchDecoder(*([self._schema] if self._schema else []))

    def process(self, path: str) -> Iterator[pa.RecordBatch]:
        for records in read_records(path, self._rows):
            yield self._decoder.DecodeBatch(records)


def read_records(path: str, rows: int = BATCH_ROWS) -> Iterator[list[bytes]]:
    """Yields the records of a gzipped TFRecord file, ``rows`` at once, or fewer if they are large.

    Raises:
        tf.errors.DataLossError: The file is broken.
    """
    batch: list[bytes] = []
    size = 0
    dataset = tf.data.TFRecordDataset(path, "GZIP", READ_BYTES)
    for records in dataset.batch(min(READ_ROWS, rows)).as_numpy_iterator():
        batch += records.tolist()
        size += sum(map(len, records))
        if len(batch) >= rows or size >= BATCH_BYTES:
            yield batch[:rows]
            batch = batch[rows:]
            size = sum(map(len, batch))
    if batch:
        yield batch


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(list[bytes])
class _Encode(beam.DoFn):
    def __init__(self, schema: schema_pb2.Schema) -> None:
        self._schema = schema

    def setup(self) -> None:
        self._encoder = RecordBatchToExamplesEncoder(self._schema)

    def process(self, batch: pa.RecordBatch) -> Iterator[list[bytes]]:
        yield self._encoder.encode(batch)


class _Sink(FileBasedSink):
    def __init__(self, prefix: str) -> None:
        # TensorFlow zips, and Beam moves files to their places.
        super().__init__(prefix, None, SUFFIX, compression_type=CompressionTypes.UNCOMPRESSED)

    def open(self, temp_path: str) -> tf.io.TFRecordWriter:
        return tf.io.TFRecordWriter(temp_path, OPTIONS)

    def write_record(self, file_handle: tf.io.TFRecordWriter, value: Any) -> None:
        for record in value:
            file_handle.write(record)
