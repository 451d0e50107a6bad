"""BatchedStatisticsGen: TFX's StatisticsGen, reading in batches."""

from tfx import types
from tfx.components import StatisticsGen
from tfx.dsl.components.base import executor_spec

from common.source_code import source_digest
from custom_components.batched_statistics_gen.executor import Executor
from custom_components.shared.record_batches import MODULES


class BatchedStatisticsGen(StatisticsGen):
    """TFX's StatisticsGen with TFDV's default options, for all splits."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: types.BaseChannel) -> None:
        """Creates the node.

        Args:
            examples: Channel of raw ``Examples``.
        """
        super().__init__(examples=examples)
        self.spec.exec_properties["code"] = source_digest(__package__, *MODULES, "artifacts.names")
