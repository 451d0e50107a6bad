"""Converts the table to tf.Examples with TFX's CsvExampleGen, with this pipeline's ExampleGen, or in a plain loop."""

import argparse
import dataclasses
import json
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("NO_GCE_CHECK", "true")

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import tensorflow as tf
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from benchmarks.runs.measurements import Contestant, IngestRun
from benchmarks.runs.node_times import BEAM_ARGS, timed_nodes
from pipeline.beam.arguments import beam_args
from pipeline.config.loading import load_config
from pipeline.pipeline import ingest
from pipeline.preflight.schema import load_schema

CONFIG = Path("configs/taxi.yaml")
LEVEL = 6  # zlib's default, which Beam uses
KILOBYTE = 1024


def main() -> None:
    """Prints the measurements of one contestant as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs.ingest", description=__doc__)
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="folder of the table")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="empty folder for the output")
    arguments = parser.parse_args()
    imported = _peak()
    seconds = CONTESTANTS[arguments.contestant](arguments.data, arguments.output)
    print(json.dumps(dataclasses.asdict(IngestRun(seconds, _peak(), imported))))


def template(data: Path, output: Path) -> float:
    """Runs TFX's CsvExampleGen in a pipeline with one node, and returns the node's seconds."""
    return _node(tfx.components.CsvExampleGen(input_base=str(data)), output, BEAM_ARGS)


def onegraph(data: Path, output: Path) -> float:
    """Runs this pipeline's ExampleGen the same way, with three splits in the order of the table."""
    config = load_config(CONFIG, {}, str(data), str(output))
    return _node(ingest(config, load_schema(config, CONFIG)), output, beam_args(config))


def loop(data: Path, output: Path) -> float:
    """Reads, encodes and writes one file without splits, the minimum of work, and returns the seconds."""
    encoder = RecordBatchToExamplesEncoder()
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=LEVEL)
    output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with tf.io.TFRecordWriter(str(output / "examples.gz"), options) as writer:
        for batch in read(data):
            for example in encoder.encode(batch):
                writer.write(example)
    return time.perf_counter() - start


def read(data: Path) -> Iterator[pa.RecordBatch]:
    """Reads the rows in the encoder's format: each column is a list of at most one value, with 32-bit floats."""
    for path in sorted(data.glob("*.csv")):
        options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
        for batch in pyarrow.csv.read_csv(path, convert_options=options).to_batches():
            yield pa.RecordBatch.from_arrays([_listed(column) for column in batch.columns], batch.schema.names)


def _listed(column: pa.Array) -> pa.LargeListArray:
    kinds = {pa.float64(): pa.float32(), pa.string(): pa.large_binary(), pa.null(): pa.large_binary()}
    present = pc.cumulative_sum(column.is_valid().cast(pa.int64()))
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), present])
    values = column.drop_null()
    return pa.LargeListArray.from_arrays(offsets, values.cast(kinds.get(column.type, column.type)))


def _node(node: BaseNode, output: Path, arguments: list[str]) -> float:
    output.mkdir(parents=True, exist_ok=True)
    store = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(output / "metadata.db"))
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="ingest",
        pipeline_root=str(output / "artifacts"),
        components=[node],
        metadata_connection_config=store,
        beam_pipeline_args=arguments,
    )
    with timed_nodes() as seconds:
        tfx.orchestration.LocalDagRunner().run(pipeline)
    return seconds[node.id]


def _peak() -> int:
    """Returns the peak memory. Linux passes the parent's peak on, so the parent has to use less than the imports do."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


CONTESTANTS: Mapping[Contestant, Callable[[Path, Path], float]] = {
    "template": template,
    "onegraph": onegraph,
    "loop": loop,
}


if __name__ == "__main__":
    main()
