"""What ExampleGens of every source share: the seeded split, which keeps groups together, and rows in their order."""

import bisect
import dataclasses
import hashlib
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

# That all ExampleGens share, for the digest in a node's settings.
MODULES = (__name__, "custom_components.shared.examples", "custom_components.shared.beam_workers", "artifacts.names")


def split_settings(
    executor: type[BaseBeamExecutor],
    source: str,
    splits: Mapping[str, int],
    seed: int,
    key: str | None,
    options: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What TFX's ExampleGens take, for a node whose executor splits here.

    Args:
        executor: The node's executor.
        source: Pattern of the files, or the query.
        splits: Share of the rows by split name, in any unit.
        seed: Another seed makes another split.
        key: Column whose value decides a row's split; ``None`` hashes the whole row.
        options: Others that the executor asks for.
    """
    package = executor.__module__.rpartition(".")[0]
    hashed = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=share) for name, share in splits.items()]
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


@dataclasses.dataclass(frozen=True)
class Split:
    """How a node splits its rows.

    Attributes:
        names: Of the splits.
        bounds: Running totals of their shares.
        seed: Mixed into the hash.
        key: Column to hash; ``None`` hashes the whole row.
    """

    names: tuple[str, ...]
    bounds: tuple[int, ...]
    seed: int
    key: str | None

    @classmethod
    def of_node(cls, exec_properties: Mapping[str, Any]) -> "Split":
        """What ``split_settings`` put into a node's execution properties."""
        output = proto_utils.json_to_proto(exec_properties["output_config"], example_gen_pb2.Output())
        options = custom_options(exec_properties)
        splits = output.split_config.splits
        bounds = itertools.accumulate(split.hash_buckets for split in splits)
        return cls(tuple(split.name for split in splits), tuple(bounds), int(options["seed"]), options["key"])


def custom_options(exec_properties: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``split_settings``, and those that a node added."""
    custom = proto_utils.json_to_proto(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
    options = struct_pb2.Struct()
    custom.custom_config.Unpack(options)
    return dict(options)


def examples_artifact(output_dict: Mapping[str, list[Artifact]], exec_properties: Mapping[str, Any]) -> Artifact:
    """The artifact that a node writes, which says what is in it, and in which splits."""
    artifact = artifact_utils.get_single_instance(output_dict[EXAMPLES_KEY])
    examples_utils.set_payload_format(artifact, exec_properties["output_data_format"])
    artifact.split_names = artifact_utils.encode_split_names(list(Split.of_node(exec_properties).names))
    return artifact


def source_of(exec_properties: Mapping[str, Any]) -> str:
    """The pattern of a node's files, or its query, as the driver resolved it."""
    source = proto_utils.json_to_proto(exec_properties["input_config"], example_gen_pb2.Input())
    return str(source.splits[0].pattern)


class SeededSplitExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Splits by a seeded hash of each row or of one of its columns, and keeps the rows' order.

    A source says in ``GetInputSourceToExamplePTransform`` what reads it.
    """

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Returns a collection of tf.Examples by split name."""
        split = Split.of_node(exec_properties)
        read = self.GetInputSourceToExamplePTransform()
        parts = (
            pipeline
            | "Read" >> read(exec_properties, source_of(exec_properties))
            | "Split" >> beam.Partition(split_index, len(split.bounds), split.bounds, split.seed, split.key)
        )
        return dict(zip(split.names, parts, strict=True))

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits as gzipped TFRecords, their rows in the table's order.

        TFX shuffles them by an unseeded random number. All that is computed behind it then depends on chance: sums in
        floating point by the last bit, and with them the Transform graph, and the model by the order of its batches.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = examples_artifact(output_dict, exec_properties)
        with self._make_beam_pipeline() as pipeline:
            for name, examples in self.GenerateExamplesByBeam(pipeline, exec_properties).items():
                prefix = os.path.join(artifact_utils.get_split_uri([artifact], name), "data_tfrecord")
                (
                    examples
                    | f"Serialize[{name}]" >> beam.Map(serialize)
                    | f"Write[{name}]" >> beam.io.WriteToTFRecord(prefix, file_name_suffix=".gz")
                )


def serialize(example: tf.train.Example) -> bytes:
    """A row's bytes, the same ones each time: the features in the order of their names."""
    return bytes(example.SerializeToString(deterministic=True))


def split_index(example: tf.train.Example, partitions: int, bounds: Sequence[int], seed: int, key: str | None) -> int:
    """Index of the split that a row falls into.

    Args:
        example: The row.
        partitions: Number of splits.
        bounds: Running totals of the splits' shares, one a split.
        seed: Mixed into the hash.
        key: Column to hash; ``None`` hashes the whole row, and so does a row without a value in the column: it
            belongs to no known group.
    """
    assert partitions == len(bounds)
    group = example.features.feature.get(key) if key else None
    hashed = group if group is not None and _has_values(group) else example
    return split_of_bytes(hashed.SerializeToString(deterministic=True), bounds, seed)


def split_of_bytes(hashed: bytes, bounds: Sequence[int], seed: int) -> int:
    """Index of the split that the bytes of a row, or of its key's feature, fall into."""
    digest = hashlib.sha256(b"%d:%b" % (seed, hashed)).digest()
    return bisect.bisect(bounds, int.from_bytes(digest) % bounds[-1])


def _has_values(feature: tf.train.Feature) -> bool:
    kind = feature.WhichOneof("kind")
    return kind is not None and len(getattr(feature, kind).value) > 0
