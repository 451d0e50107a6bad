"""The seeded split that all ExampleGens share. It keeps groups together and rows in order."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx.components.example_gen import base_example_gen_executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_component_specs import EXAMPLES_KEY
from tfx.utils import proto_utils

from common.source_code import source_digest
from custom_components.shared.label_examples import check_label_counts, keep_labeled
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.split_hash import Split, split_of_bytes

# Modules that all ExampleGens run, for the digest in a node's properties.
MODULES = (
    __name__,
    "custom_components.shared.split_hash",
    "custom_components.shared.examples",
    "custom_components.shared.beam_workers",
    "custom_components.anomaly_gate.anomaly",
    "custom_components.shared.label_examples",
    "custom_components.shared.label_rows",
    "custom_components.shared.left_out",
    "models.problem.class_values",
    "artifacts.fingerprint",
    "artifacts.nodes.left_out",
    "artifacts.names",
    "artifacts.files",
)


def split_settings(
    executor: type[BaseBeamExecutor],
    source: str,
    splits: Mapping[str, int],
    seed: int,
    key: str | None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments for TFX's ExampleGens, for a node whose executor uses this split.

    Args:
        executor: Executor of the node.
        source: Pattern of the files, or the query.
        splits: Weight of each split, by its name.
        seed: Seed of the split.
        key: Column whose value decides the split of a row. ``None`` hashes the complete row.
        options: Other options for the executor.
    """
    package = executor.__module__.rpartition(".")[0]
    hashed = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=weight) for name, weight in splits.items()]
    custom = struct_pb2.Struct()
    custom.update({"seed": seed, "key": key, "code": source_digest(package, *MODULES), **(options or {})})
    custom_config = example_gen_pb2.CustomConfig()
    custom_config.custom_config.Pack(custom)
    return {
        "input_config": example_gen_pb2.Input(
            splits=[example_gen_pb2.Input.Split(name="single_split", pattern=source)]
        ),
        "output_config": example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=hashed)),
        "custom_config": custom_config,
    }


def split_of_node(exec_properties: Mapping[str, Any]) -> Split:
    """Parses the execution properties that :func:`split_settings` made."""
    output = proto_utils.json_to_proto(exec_properties["output_config"], example_gen_pb2.Output())
    options = custom_options(exec_properties)
    splits = output.split_config.splits
    bounds = itertools.accumulate(split.hash_buckets for split in splits)
    return Split(tuple(split.name for split in splits), tuple(bounds), int(options["seed"]), options["key"])


def custom_options(exec_properties: Mapping[str, Any]) -> dict[str, Any]:
    """All options that :func:`split_settings` put into a node's execution properties."""
    custom = proto_utils.json_to_proto(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
    options = struct_pb2.Struct()
    custom.custom_config.Unpack(options)
    return dict(options)


def examples_artifact(output_dict: Mapping[str, list[Artifact]], exec_properties: Mapping[str, Any]) -> Artifact:
    """The output artifact of a node, with its payload format and split names set."""
    artifact = artifact_utils.get_single_instance(output_dict[EXAMPLES_KEY])
    examples_utils.set_payload_format(artifact, exec_properties["output_data_format"])
    artifact.split_names = artifact_utils.encode_split_names(list(split_of_node(exec_properties).names))
    return artifact


def source_of(exec_properties: Mapping[str, Any]) -> str:
    """The pattern of a node's files as resolved by the driver, or its query."""
    source = proto_utils.json_to_proto(exec_properties["input_config"], example_gen_pb2.Input())
    return str(source.splits[0].pattern)


class SeededSplitExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Splits rows by a seeded hash of the row or of one column, and keeps their order.

    Subclasses implement ``GetInputSourceToExamplePTransform``, which returns the transform that reads the source.
    """

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Returns a collection of tf.Examples by split name."""
        split = split_of_node(exec_properties)
        read = self.GetInputSourceToExamplePTransform()
        rows = pipeline | "Read" >> read(exec_properties, source_of(exec_properties))
        if label_rows := LabelRows.from_options(custom_options(exec_properties)):
            rows = keep_labeled(rows, label_rows, self._folder)
        parts = rows | "Split" >> beam.Partition(split_index, len(split.bounds), split.bounds, split.seed, split.key)
        return dict(zip(split.names, parts, strict=True))

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits as gzipped TFRecords, with the rows in the table's order.

        TFX shuffles the rows with an unseeded random number. Everything downstream then varies from run to run:
        floating-point sums and the Transform graph in the last bits, and the model by the order of its batches.

        Raises:
            DataAnomaliesError: Some values of the label stand for no class.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = examples_artifact(output_dict, exec_properties)
        self._folder = artifact.uri
        with self._make_beam_pipeline() as pipeline:
            for name, examples in self.GenerateExamplesByBeam(pipeline, exec_properties).items():
                prefix = os.path.join(artifact_utils.get_split_uri([artifact], name), "data_tfrecord")
                (
                    examples
                    | f"Serialize[{name}]" >> beam.Map(serialize)
                    | f"Write[{name}]" >> beam.io.WriteToTFRecord(prefix, file_name_suffix=".gz")
                )
        if label_rows := LabelRows.from_options(custom_options(exec_properties)):
            check_label_counts(artifact.uri, label_rows)


def serialize(example: tf.train.Example) -> bytes:
    """Serializes a row deterministically, with its features sorted by name."""
    return bytes(example.SerializeToString(deterministic=True))


def split_index(example: tf.train.Example, partitions: int, bounds: Sequence[int], seed: int, key: str | None) -> int:
    """Index of the split of a row.

    Args:
        example: The row.
        partitions: Number of splits.
        bounds: Cumulative weights of the splits.
        seed: Seed of the hash.
        key: Column to hash. ``None`` hashes the complete row. A row without a value in the column belongs to no known
            group and is hashed as a complete row.
    """
    assert partitions == len(bounds)
    group = example.features.feature.get(key) if key else None
    hashed = group if group is not None and _has_values(group) else example
    return split_of_bytes(hashed.SerializeToString(deterministic=True), bounds, seed)


def _has_values(feature: tf.train.Feature) -> bool:
    kind = feature.WhichOneof("kind")
    return kind is not None and len(getattr(feature, kind).value) > 0
