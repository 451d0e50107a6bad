import json

import pytest
from tensorflow_model_analysis.proto import config_pb2

from common.project import ROOT
from pipeline.config.loading import load_config, load_vertex_config
from pipeline.eval_config import eval_config

POLICY = {
    "evaluation.metrics": "[auc, loss, accuracy]",
    "evaluation.slices": "[[payment_type], [trip_start_hour, trip_start_day]]",
    "evaluation.thresholds": """[
        {metric: auc, min: 0.9, max: 0.99},
        {metric: auc, min_change: -0.01},
        {metric: loss, max: 0.5, max_change: 0.02},
        {metric: accuracy, slice: {trip_start_hour: 8, trip_start_day: 1}, min: 0.6},
    ]""",
}


def made() -> config_pb2.EvalConfig:
    return eval_config(load_config(ROOT / "configs/taxi.yaml", POLICY))


def thresholds(metric: str) -> list[config_pb2.PerSliceMetricThreshold]:
    [found] = [each for each in made().metrics_specs[0].metrics if json.loads(each.config)["name"] == metric]
    return list(found.per_slice_thresholds)


def test_served_signature_is_compared_with_the_transformed_label() -> None:
    [model] = made().model_specs
    assert (model.signature_name, model.prediction_key) == ("serving_default", "predictions")
    assert (list(model.preprocessing_function_names), model.label_key) == (["transform_label"], "generous_tip")


def test_all_rows_are_measured_as_well_as_each_slicing() -> None:
    columns = [list(spec.feature_keys) for spec in made().slicing_specs]
    assert columns == [[], ["payment_type"], ["trip_start_hour", "trip_start_day"]]


def test_metrics_are_those_named_under_their_own_names() -> None:
    specs = made().metrics_specs[0]
    assert [(json.loads(each.config)["name"], each.class_name) for each in specs.metrics] == [
        ("auc", "BatchedAUC"),
        ("loss", "BatchedBinaryCrossEntropy"),
        ("accuracy", "BatchedAccuracy"),
    ]


def test_bounds_of_a_value() -> None:
    bound = thresholds("auc")[0].threshold
    assert (bound.value_threshold.lower_bound.value, bound.value_threshold.upper_bound.value) == (0.9, 0.99)
    assert not bound.HasField("change_threshold")
    assert not thresholds("loss")[0].threshold.value_threshold.HasField("lower_bound")


def test_bounds_of_a_change_have_the_direction_that_is_better() -> None:
    up = thresholds("auc")[1].threshold
    assert (up.change_threshold.absolute.value, up.change_threshold.direction) == (
        -0.01,
        config_pb2.MetricDirection.HIGHER_IS_BETTER,
    )
    assert not up.HasField("value_threshold")
    down = thresholds("loss")[0].threshold
    assert (down.change_threshold.absolute.value, down.change_threshold.direction) == (
        0.02,
        config_pb2.MetricDirection.LOWER_IS_BETTER,
    )
    assert down.value_threshold.upper_bound.value == 0.5


def test_bound_applies_to_its_own_slice() -> None:
    [overall] = thresholds("loss")[0].slicing_specs
    assert overall == config_pb2.SlicingSpec()
    [sliced] = thresholds("accuracy")[0].slicing_specs
    assert dict(sliced.feature_values) == {"trip_start_hour": "8", "trip_start_day": "1"}


@pytest.mark.parametrize(
    ("task", "label", "metric", "plots"),
    [
        ("binary", "{name: t, column: tips, above: {value: 1}}", "auc", ["BatchedCalibrationPlot"]),
        (
            "multiclass",
            "{name: p, column: tips, classes: [a, b]}",
            "accuracy",
            ["BatchedMultiClassConfusionMatrixPlot"],
        ),
        ("regression", "{name: t, column: tips}", "mse", []),
    ],
)
def test_plots_are_separate_from_the_policy_and_have_no_thresholds(
    task: str, label: str, metric: str, plots: list[str]
) -> None:
    policy = {"metrics": [metric], "slices": [], "thresholds": [{"metric": metric, "max": 1}]}
    overrides = {"task": task, "label": label, "evaluation": json.dumps(policy)}
    policy_specs, *others = eval_config(load_config(ROOT / "configs/taxi.yaml", overrides)).metrics_specs
    assert [json.loads(each.config)["name"] for each in policy_specs.metrics] == [metric]
    drawn = [each for spec in others for each in spec.metrics]
    assert [each.class_name for each in drawn] == plots
    assert not any(each.per_slice_thresholds for each in drawn)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, 12),
        ({"evaluation.metrics": "[auc, loss, accuracy, example_count]"}, 12),
        ({"evaluation.weighted": "true", "data.weight_column": "trip_miles"}, None),  # the count is a sum of weights
    ],
)
def test_a_table_that_no_check_reads_must_have_enough_rows(overrides: dict[str, str], expected: int | None) -> None:
    where = {"project": "our-project", "region": "europe-west4", "bucket": "gs://bucket", "image": "registry/image:1"}
    config = load_vertex_config(
        ROOT / "configs/taxi.yaml", {**POLICY, "evaluation.min_rows": "12", **overrides}, **where
    )
    found = {json.loads(each.config)["name"]: each for each in eval_config(config).metrics_specs[0].metrics}
    bounds = [each.threshold for each in found["example_count"].per_slice_thresholds] if expected else []
    assert [each.value_threshold.lower_bound.value for each in bounds] == ([expected] if expected else [])
    assert ("example_count" in found) == (expected is not None)
    assert "example_count" not in {json.loads(each.config)["name"] for each in made().metrics_specs[0].metrics}


@pytest.mark.parametrize(
    ("task", "time", "newest"),
    [
        ("regression", "trip_start_timestamp", "validation"),
        ("regression", "null", None),
        ("binary", "trip_start_timestamp", None),
    ],
)
def test_the_trivial_model_of_a_forecast_knows_the_newest_rows(task: str, time: str, newest: str | None) -> None:
    label = {"regression": "{name: tips, column: tips}"}
    metric = {"regression": "mse", "binary": "auc"}[task]
    overrides = {
        "task": task,
        "data.split_time": time,
        "evaluation.metrics": f"[{metric}]",
        "evaluation.slices": "[]",
        "evaluation.thresholds": f"[{{metric: {metric}, better_than_trivial: 0.1}}]",
        **({"label": label[task]} if task in label else {}),
    }
    found = eval_config(load_config(ROOT / "configs/taxi.yaml", overrides)).metrics_specs[0].metrics
    [fit] = [settings["fit"] for each in found if "fit" in (settings := json.loads(each.config))]
    assert (fit["split"], fit["newest"]) == ("train", newest)
    assert (fit["time"], fit["evaluated"]) == ((time, "eval") if newest else (None, None))
