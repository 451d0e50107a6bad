"""SeededBigQueryExampleGen: a query to tf.Examples, split by a seeded hash that keeps groups together."""

from collections.abc import Mapping

from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec

from custom_components.bigquery_example_gen.executor import Executor
from custom_components.shared.seeded_split import split_settings


class SeededBigQueryExampleGen(component.QueryBasedExampleGen):
    """TFX's BigQueryExampleGen, whose split can be seeded and can follow a column."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, query: str, splits: Mapping[str, int], seed: int = 0, key: str | None = None) -> None:
        """Makes the node.

        Args:
            query: Standard SQL; its columns are the table's.
            splits: Share of the rows by split name, in any unit.
            seed: Another seed makes another split.
            key: Column whose value decides a row's split; ``None`` hashes the whole row.
        """
        super().__init__(**split_settings(Executor, query, splits, seed, key))
