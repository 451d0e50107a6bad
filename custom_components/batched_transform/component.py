"""BatchedTransform: TFX's Transform, reading and writing in batches."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.components import Transform
from tfx.dsl.components.base import executor_spec
from tfx.proto import transform_pb2

from common.source_code import source_digest
from custom_components.batched_transform.executor import Executor
from custom_components.shared.record_batches import MODULES

# Modules that write the records next to the splits.
RECORDS = ("artifacts.names", "artifacts.files", "artifacts.nodes.label_counts")


class BatchedTransform(Transform):
    """TFX's Transform, twice as fast, without statistics and without the analyzer cache."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        preprocessing_fn: str,
        splits_config: transform_pb2.SplitsConfig,
        custom_config: Mapping[str, Any],
        code: Sequence[str] = (),
    ) -> None:
        """Creates the node.

        Args:
            examples: Channel of raw ``Examples``.
            schema: Channel of the ``Schema`` of the examples.
            preprocessing_fn: Import path of the function that makes features from raw values.
            splits_config: Splits to analyze (for vocabularies, means and so on) and splits to transform.
            custom_config: Second argument of ``preprocessing_fn``.
            code: Modules of ``preprocessing_fn``. A change of their code, or of the component's, runs the node again.
        """
        super().__init__(
            examples=examples,
            schema=schema,
            preprocessing_fn=preprocessing_fn,
            splits_config=splits_config,
            custom_config={**custom_config, "code": source_digest(*code, __package__, *RECORDS, *MODULES)},
            disable_statistics=True,
            disable_analyzer_cache=True,
        )
