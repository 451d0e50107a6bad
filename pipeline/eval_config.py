"""The blessing policy of the settings in TFMA's terms."""

import json
from collections.abc import Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from models.features import Task
from models.signatures import SERVING, TRANSFORM_LABEL
from pipeline.config.metrics import METRICS
from pipeline.config.settings import Config, Threshold

METRICS_MODULE = "custom_components.batched_evaluator.metrics"
# What the report page draws, by TFMA's classes; the policy knows nothing of them. A hundred buckets a slice are 6 kB
# and give the calibration and, added up from above, the ROC curve. For a regression TFMA's buckets want bounds of the
# label, which are not known before.
PLOTS: dict[Task, tuple[str, dict[str, int]]] = {
    "binary": ("CalibrationPlot", {"num_buckets": 100}),
    "multiclass": ("MultiClassConfusionMatrixPlot", {}),
}


def eval_config(config: Config) -> config_pb2.EvalConfig:
    """What the Evaluator computes and which bounds it holds the candidate to.

    The signature evaluated is the one that is served, on raw examples; the label comes from the same Transform
    graph.
    """
    policy = config.evaluation
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=SERVING,
                prediction_key="predictions",
                preprocessing_function_names=[TRANSFORM_LABEL],
                label_key=config.label.name,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=columns) for columns in policy.slices),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(metrics=[_metric(config, name, policy.thresholds) for name in policy.metrics]),
            *_plots(config.task),
        ],
    )


def _metric(config: Config, name: str, thresholds: Sequence[Threshold]) -> config_pb2.MetricConfig:
    metric = _batched(METRICS[config.task][name], {"name": name})
    for threshold in thresholds:
        if threshold.metric != name:
            continue
        bound = config_pb2.PerSliceMetricThreshold(
            slicing_specs=[
                config_pb2.SlicingSpec(feature_values={column: str(value) for column, value in threshold.slice.items()})
            ],
            threshold=_threshold(threshold),
        )
        metric.per_slice_thresholds.append(bound)
    return metric


def _plots(task: Task) -> list[config_pb2.MetricsSpec]:
    if task not in PLOTS:
        return []
    class_name, settings = PLOTS[task]
    return [config_pb2.MetricsSpec(metrics=[_batched(class_name, settings)])]


def _batched(class_name: str, settings: dict[str, Any]) -> config_pb2.MetricConfig:
    """A metric by TFMA's name for it; TFMA would take its own for a name that it knows, whatever the module."""
    return config_pb2.MetricConfig(
        class_name=f"Batched{class_name}", module=METRICS_MODULE, config=json.dumps(settings)
    )


def _threshold(threshold: Threshold) -> config_pb2.MetricThreshold:
    bounds = config_pb2.MetricThreshold()
    if threshold.min is not None:
        bounds.value_threshold.lower_bound.value = threshold.min
    if threshold.max is not None:
        bounds.value_threshold.upper_bound.value = threshold.max
    if threshold.min_change is not None:
        bounds.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
        bounds.change_threshold.absolute.value = threshold.min_change
    if threshold.max_change is not None:
        bounds.change_threshold.direction = config_pb2.MetricDirection.LOWER_IS_BETTER
        bounds.change_threshold.absolute.value = threshold.max_change
    return bounds
