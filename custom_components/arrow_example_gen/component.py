"""ArrowExampleGen: CSV, Parquet and TFRecord to tf.Examples, split by a seeded hash that keeps groups together."""

from collections.abc import Mapping

from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.proto import range_config_pb2

from custom_components.arrow_example_gen.executor import FORMAT, Executor
from custom_components.arrow_example_gen.source import Source
from custom_components.shared.seeded_split import split_settings


class ArrowExampleGen(component.FileBasedExampleGen):
    """TFX's CsvExampleGen, streamed by Arrow, whose split can be seeded and can follow a column."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, source: Source, splits: Mapping[str, int], seed: int = 0, key: str | None = None) -> None:
        """Makes the node.

        Args:
            source: The files of the table.
            splits: Share of the rows by split name, in any unit.
            seed: Another seed makes another split.
            key: Column whose value decides a row's split; ``None`` hashes the whole row.
        """
        super().__init__(
            input_base=source.folder,
            range_config=None if source.span is None else _one_span(source.span),
            **split_settings(Executor, source.pattern, splits, seed, key, {FORMAT: source.format}),
        )


def _one_span(span: int) -> range_config_pb2.RangeConfig:
    return range_config_pb2.RangeConfig(
        static_range=range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
    )
