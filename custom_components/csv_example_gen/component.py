"""SeededCsvExampleGen: CSV files to tf.Examples, split by a seeded hash that keeps groups together."""

from collections.abc import Mapping

from google.protobuf import struct_pb2
from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from custom_components.csv_example_gen.executor import Executor
from models.imports import source_digest


class SeededCsvExampleGen(component.FileBasedExampleGen):
    """TFX's CsvExampleGen, whose split can be seeded and can follow a column."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, input_base: str, pattern: str, splits: Mapping[str, int], seed: int = 0, key: str | None = None
    ) -> None:
        """Makes the node.

        Args:
            input_base: Folder of CSV files with the same header line.
            pattern: Which files of it.
            splits: Share of the rows by split name, in any unit.
            seed: Another seed makes another split.
            key: Column whose value decides a row's split; ``None`` hashes the whole row.
        """
        hashed = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=share) for name, share in splits.items()]
        options = struct_pb2.Struct()
        options.update({"seed": seed, "key": key, "code": source_digest(Executor.__module__)})
        custom_config = example_gen_pb2.CustomConfig()
        custom_config.custom_config.Pack(options)
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="single_split", pattern=pattern)]
            ),
            output_config=example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=hashed)),
            custom_config=custom_config,
        )
