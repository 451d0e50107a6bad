"""Translates the blessing policy of the settings into TFMA's configuration."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from artifacts.slices import tfma_text
from artifacts.thresholds import bounds_of
from custom_components.batched_evaluator.trivial_settings import FIT, TrivialSettings, gain_name
from models.problem.problem import Task
from models.signatures import SERVING, TRANSFORM_LABEL
from pipeline.config.metrics import METRICS
from pipeline.config.settings import TRAIN, VALIDATION, Config, Threshold

METRICS_MODULE = "custom_components.batched_evaluator.metrics"
TRIVIAL_MODULE = "custom_components.batched_evaluator.trivial_metrics"
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
    policy = config.policy
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=SERVING,
                prediction_key="predictions",
                preprocessing_function_names=[TRANSFORM_LABEL],
                label_key=config.problem.label_tensor,
                example_weight_key=config.problem.weight_tensor if policy.weighted else None,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=columns) for columns in policy.slices),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    *(_metric(config, name) for name in policy.metrics),
                    *_gains(config),
                ]
            ),
            *_plots(config.task),
        ],
    )


def _gains(config: Config) -> list[config_pb2.MetricConfig]:
    """The gains over the trivial model, after the metrics that they are computed from, with their thresholds."""
    weight = config.data.weight_column if config.policy.weighted else None
    label, classes = config.problem.label_tensor, len(config.problem.class_names)
    # The best constant for rows that are later than all others is the one of the newest rows before them.
    newest = config.data.split_time is not None and config.task == "regression"
    fit = TrivialSettings(VALIDATION if newest else TRAIN, config.task, label, classes, weight)
    compared = [each.metric for each in config.policy.thresholds if each.better_than_trivial is not None]
    found = []
    for metric in dict.fromkeys(compared):
        settings = {"name": gain_name(metric), "metric": metric, "task": config.task, FIT: dataclasses.asdict(fit)}
        relative = [
            Threshold(metric=gain_name(metric), slice=each.slice, min=each.better_than_trivial)
            for each in config.policy.thresholds
            if each.metric == metric and each.better_than_trivial is not None
        ]
        found.append(_bounded(_batched("Gain", settings, TRIVIAL_MODULE), relative))
    return found


def _metric(config: Config, name: str) -> config_pb2.MetricConfig:
    thresholds = [
        each
        for each in config.policy.thresholds
        if each.metric == name and any(bound.kind != "better_than_trivial" for bound in bounds_of(each))
    ]
    return _bounded(_batched(METRICS[config.task][name], {"name": name}), thresholds)


def _bounded(metric: config_pb2.MetricConfig, thresholds: Sequence[Threshold]) -> config_pb2.MetricConfig:
    """Adds the bounds of thresholds, except those relative to the trivial model."""
    for threshold in thresholds:
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


def _batched(class_name: str, settings: Mapping[str, Any], module: str = METRICS_MODULE) -> config_pb2.MetricConfig:
    """Our batched version of one of TFMA's metrics.

    It has another name, because TFMA uses its own class for a known name, regardless of the module.
    """
    return config_pb2.MetricConfig(class_name=f"Batched{class_name}", module=module, config=json.dumps(settings))


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
