"""Translates the blessing policy of the settings into TFMA's configuration."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from artifacts.names import EFFECTIVE_ROWS
from artifacts.slices import tfma_text
from artifacts.thresholds import bounds_of
from custom_components.batched_evaluator.trivial_settings import FIT, TrivialSettings, gain_name
from models.problem.problem import Task
from models.signatures import SERVING, TRANSFORM_LABEL
from pipeline.config.metrics import METRICS_MODULE, Metric, find_metric
from pipeline.config.settings import EVAL, TRAIN, VALIDATION, Config, Threshold

PREFIX = "Batched"
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
                    *(_metric(config, name) for name in config.metric_names),
                    *_gains(config),
                    *([_batched("ExampleCount", {"name": EFFECTIVE_ROWS, "effective": True})] * policy.weighted),
                ]
            ),
            *_plots(config.task),
        ],
    )


def _gains(config: Config) -> list[config_pb2.MetricConfig]:
    """The gains over the trivial model, after the metrics that they are computed from, with their thresholds."""
    fit = dataclasses.asdict(_trivial_settings(config))
    compared = [each.metric for each in config.policy.thresholds if each.better_than_trivial is not None]
    found = []
    for metric in dict.fromkeys(compared):
        class_name, module, settings = _found(config, metric)
        inner = {"module": module, "class": f"{PREFIX}{class_name}", "settings": settings}
        relative = [
            Threshold(metric=gain_name(metric), slice=each.slice, min=each.better_than_trivial)
            for each in config.policy.thresholds
            if each.metric == metric and each.better_than_trivial is not None
        ]
        gain = {"name": gain_name(metric), "metric": inner, FIT: fit}
        found.append(_bounded(_batched("Gain", gain, TRIVIAL_MODULE), relative))
    return found


def _trivial_settings(config: Config) -> TrivialSettings:
    weight = config.data.weight_column if config.evaluation.weighted else None
    fit = TrivialSettings(TRAIN, config.task, config.problem.label_tensor, len(config.problem.class_names), weight)
    if config.task != "regression" or config.data.split_time is None:
        return fit
    # Constants of rows that are not the newest can be far from those that are later than all of them.
    return dataclasses.replace(fit, time=config.data.split_time, newest=VALIDATION, evaluated=EVAL)


def _metric(config: Config, name: str) -> config_pb2.MetricConfig:
    thresholds = [
        each
        for each in config.policy.thresholds
        if each.metric == name and any(bound.kind != "better_than_trivial" for bound in bounds_of(each))
    ]
    class_name, module, settings = _found(config, name)
    return _bounded(_batched(class_name, settings, module), thresholds)


def _found(config: Config, name: str) -> Metric:
    """The class of a metric, with all of its settings."""
    found = find_metric(config.task, name, config.problem.class_names)
    settings = {"name": name, **found.settings}
    if found.class_name == "ExpectedCost":
        settings["costs"] = config.evaluation.cost_matrix
    return found._replace(settings=settings)


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
    """A metric of this project."""
    return config_pb2.MetricConfig(class_name=f"{PREFIX}{class_name}", module=module, config=json.dumps(settings))


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
