"""SeededBigQueryExampleGen: reads a query as tf.Examples, with a seeded split that keeps groups together."""

from collections.abc import Mapping

from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec

from custom_components.bigquery_example_gen.executor import Executor
from custom_components.shared.label_rows import LabelRows
from custom_components.shared.seeded_split import split_settings


class SeededBigQueryExampleGen(component.QueryBasedExampleGen):
    """Like TFX's BigQueryExampleGen, with a split by a seed and, optionally, by a column."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        query: str,
        splits: Mapping[str, int],
        seed: int = 0,
        key: str | None = None,
        label_rows: LabelRows | None = None,
    ) -> None:
        """Creates the node.

        Args:
            query: Standard SQL. Its columns are those of the table.
            splits: Weight of each split, by its name.
            seed: Seed of the split.
            key: Column whose value decides the split of a row. ``None`` hashes the complete row.
            label_rows: What a row must have in the columns of the label. Others are left out. ``None`` keeps all rows.
        """
        options = label_rows.to_options() if label_rows else {}
        super().__init__(**split_settings(Executor, query, splits, seed, key, options))
