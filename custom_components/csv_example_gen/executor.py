"""Executor of SeededCsvExampleGen."""

import bisect
import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx.components.example_gen.csv_example_gen import executor
from tfx.proto import example_gen_pb2
from tfx.utils import proto_utils


class Executor(executor.Executor):
    """Reads CSV as TFX does, and splits by a seeded hash of each row or of one of its columns."""

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Returns a collection of tf.Examples by split name."""
        source = proto_utils.json_to_proto(exec_properties["input_config"], example_gen_pb2.Input())
        output = proto_utils.json_to_proto(exec_properties["output_config"], example_gen_pb2.Output())
        custom = proto_utils.json_to_proto(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
        options = struct_pb2.Struct()
        custom.custom_config.Unpack(options)
        splits = output.split_config.splits
        bounds = list(itertools.accumulate(split.hash_buckets for split in splits))
        read = self.GetInputSourceToExamplePTransform()
        parts = (
            pipeline
            | "ReadCsv" >> read(exec_properties, source.splits[0].pattern)
            | "DropMissing" >> beam.Map(without_missing)
            | "Split" >> beam.Partition(split_index, len(bounds), bounds, int(options["seed"]), options["key"])
        )
        return dict(zip([split.name for split in splits], parts, strict=True))


def without_missing(example: tf.train.Example) -> tf.train.Example:
    """Leaves out features that hold no value.

    TFX writes an empty cell as a feature without values, which counts as present: a schema's ``presence`` would then
    allow any number of empty cells.
    """
    features = example.features.feature
    present = {name: feature for name, feature in features.items() if _has_value(feature)}
    return tf.train.Example(features=tf.train.Features(feature=present))


def _has_value(feature: tf.train.Feature) -> bool:
    kind = feature.WhichOneof("kind")
    return kind is not None and bool(getattr(feature, kind).value)


def split_index(example: tf.train.Example, partitions: int, bounds: Sequence[int], seed: int, key: str | None) -> int:
    """Index of the split that a row falls into.

    Args:
        example: The row.
        partitions: Number of splits.
        bounds: Running totals of the splits' shares, one a split.
        seed: Mixed into the hash.
        key: Column to hash; ``None`` hashes the whole row, and so does a row that lacks the column: it belongs
            to no known group.
    """
    assert partitions == len(bounds)
    group = example.features.feature.get(key) if key else None
    hashed = example if group is None else group
    text = f"{seed}:".encode() + hashed.SerializeToString(deterministic=True)
    bucket = int.from_bytes(hashlib.sha256(text).digest()) % bounds[-1]
    return bisect.bisect(bounds, bucket)
