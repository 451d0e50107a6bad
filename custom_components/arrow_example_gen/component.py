"""ArrowExampleGen: converts files to tf.Examples, with a seeded split that keeps groups together."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.proto import range_config_pb2

from custom_components.arrow_example_gen.driver import FINGERPRINT, Driver
from custom_components.arrow_example_gen.executor import DIALECT, FORMAT, MISSING_VALUES, SCHEMA_TYPES, Executor
from custom_components.arrow_example_gen.formats.dialect import COMMAS
from custom_components.arrow_example_gen.source import Source
from custom_components.arrow_example_gen.splits.settings import BY_ROW, SplitBy
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.seeded_split import split_settings


class SchemaRules(NamedTuple):
    """What a schema says about the rows of a table.

    Attributes:
        types: ``INT``, ``FLOAT`` or ``BYTES`` by column, as far as the schema names the type.
        label_rows: What a row must have in the columns of the label. Others are left out. ``None`` keeps all rows.
    """

    types: Mapping[str, str]
    label_rows: LabelRows | None = None


class ArrowExampleGen(component.FileBasedExampleGen):
    """Like TFX's CsvExampleGen, but streamed by Arrow and with other splits: by a seed, a column or time."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        source: Source,
        splits: Mapping[str, int],
        seed: int = 0,
        by: SplitBy = BY_ROW,
        rules: SchemaRules | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Creates the node.

        Args:
            source: The files of the table.
            splits: Weight of each split, by its name.
            seed: Seed of the split.
            by: What decides the split of a row. By default, a hash of the complete row.
            rules: What the schema says about the rows. ``None`` infers all types and keeps all rows.
            fingerprint: Fingerprint of the files, if they have been read already. ``None`` lets the driver read them.
        """
        options: dict[str, Any] = {FORMAT: source.format, **by.to_options()}
        if rules and rules.types:
            options[SCHEMA_TYPES] = dict(rules.types)
        if rules and rules.label_rows:
            options |= rules.label_rows.to_options()
        if source.missing_values:
            options[MISSING_VALUES] = list(source.missing_values)
        if source.dialect != COMMAS:
            options[DIALECT] = dataclasses.asdict(source.dialect)
        if fingerprint:
            options[FINGERPRINT] = fingerprint
        super().__init__(
            input_base=source.folder,
            range_config=None if source.span is None else _one_span(source.span),
            **split_settings(Executor, source.pattern, splits, seed, by.key, options),
        )


def _one_span(span: int) -> range_config_pb2.RangeConfig:
    return range_config_pb2.RangeConfig(
        static_range=range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
    )
