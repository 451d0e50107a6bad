"""Translates the blessing policy of the settings into TFMA's configuration."""

import json
from collections.abc import Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from artifacts.slices import tfma_text
from artifacts.thresholds import bounds_of
from models.features import Task
from models.signatures import SERVING, TRANSFORM_LABEL
from pipeline.config.metrics import METRICS
from pipeline.config.settings import Config, Threshold

METRICS_MODULE = "custom_components.batched_evaluator.metrics"
# TFMA's classes for the plots of the report page. They have no thresholds. A hundred buckets take 6 kB per slice and
# are enough for the calibration plot and the ROC curve. Regression has no plot, because TFMA's buckets need bounds of
# the label that are not known in advance.
PLOTS: dict[Task, tuple[str, dict[str, int]]] = {
    "binary": ("CalibrationPlot", {"num_buckets": 100}),
    "multiclass": ("MultiClassConfusionMatrixPlot", {}),
}


def eval_config(config: Config) -> config_pb2.EvalConfig:
    """Returns the metrics that the Evaluator computes and the bounds that the candidate has to meet.

    The Evaluator calls the signature that is served, on raw examples. The label comes from the same Transform graph.
    """
    policy = config.evaluation
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=SERVING,
                prediction_key="predictions",
                preprocessing_function_names=[TRANSFORM_LABEL],
                label_key=config.problem.label_tensor,
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
                config_pb2.SlicingSpec(
                    feature_values={column: tfma_text(value) for column, value in threshold.slice.items()}
                )
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
    """Our batched version of one of TFMA's metrics.

    It has another name, because TFMA uses its own class for a known name, regardless of the module.
    """
    return config_pb2.MetricConfig(
        class_name=f"Batched{class_name}", module=METRICS_MODULE, config=json.dumps(settings)
    )


def _threshold(threshold: Threshold) -> config_pb2.MetricThreshold:
    message = config_pb2.MetricThreshold()
    for each in bounds_of(threshold):
        match each.kind, each.comparison:
            case "value", ">=":
                message.value_threshold.lower_bound.value = each.bound
            case "value", "<=":
                message.value_threshold.upper_bound.value = each.bound
            case "change", comparison:
                direction = config_pb2.MetricDirection
                better = direction.HIGHER_IS_BETTER if comparison == ">=" else direction.LOWER_IS_BETTER
                message.change_threshold.direction = better
                message.change_threshold.absolute.value = each.bound
    return message
