"""BatchedEvaluator: TFX's Evaluator, with metrics that process all rows of a slice in a batch at once."""

from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components import Evaluator
from tfx.dsl.components.base import executor_spec

from common.source_code import source_digest
from custom_components.batched_evaluator.executor import Executor

# Modules of other packages that the node runs.
MODULES = (
    "custom_components.arrow_example_gen",  # reads times
    "custom_components.shared.examples",
    "custom_components.shared.label_rows",
    "artifacts.fingerprint",
    "artifacts.metric_kinds",
    "artifacts.names",
    "artifacts.slices",
    "artifacts.thresholds",
    "common.intervals",
)
EXTRACTORS = "custom_components.batched_evaluator.extractors"


class BatchedEvaluator(Evaluator):
    """TFX's Evaluator with the same results, about eight times as fast, and thresholds relative to a trivial model."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        schema: types.BaseChannel,
        example_splits: Sequence[str],
        eval_config: config_pb2.EvalConfig,
    ) -> None:
        """Creates the node.

        Args:
            examples: Channel of raw ``Examples``.
            model: Channel of the ``Model`` to evaluate.
            baseline_model: Channel of the ``Model`` to compare it with, which may be empty.
            schema: Channel of the ``Schema`` of the examples.
            example_splits: Splits to evaluate on.
            eval_config: Slices, metrics and thresholds. The metrics have to be those of
                :mod:`custom_components.batched_evaluator.metrics` and :mod:`.trivial_metrics`.
        """
        super().__init__(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            schema=schema,
            example_splits=list(example_splits),
            eval_config=eval_config,
            module_path=EXTRACTORS,
        )
        self.spec.exec_properties["code"] = source_digest(__package__, *MODULES)
