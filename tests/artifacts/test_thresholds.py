import math
from collections.abc import Mapping

import pytest
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.metrics.metric_types import MetricKey
from tensorflow_model_analysis.utils.config_util import update_eval_config_with_defaults

from artifacts.metrics import Metrics, SliceMetrics
from artifacts.slices import slice_name
from artifacts.thresholds import ThresholdResult, check_all
from common.project import ROOT
from pipeline.config.loading import load_config
from pipeline.config.settings import Threshold
from pipeline.eval_config import eval_config

CARD = {"payment_type": "Credit Card"}


def check(
    thresholds: list[Threshold] | tuple[Threshold, ...],
    values: Mapping[str, float] | None = None,
    changes: Mapping[str, float] | None = None,
    slices: Mapping[str, SliceMetrics] | None = None,
) -> list[ThresholdResult]:
    metrics = Metrics({"overall": SliceMetrics(values or {}, changes or {}), **(slices or {})})
    return check_all(thresholds, metrics.value, metrics.has_baseline)


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({}, "overall"),
        ({"hour": 8}, "hour=8"),
        ({"payment": "Credit Card", "hour": 8}, "hour=8, payment=Credit Card"),
    ],
)
def test_slice_is_named_by_its_columns_in_order(columns: dict[str, str | int], name: str) -> None:
    assert slice_name(columns) == name


@pytest.mark.parametrize(
    ("value", "ok"), [(0.9, True), (0.95, True), (0.99, True), (0.8999, False), (0.9901, False), (math.nan, False)]
)
def test_value_is_compared_with_both_bounds_and_may_equal_them(value: float, ok: bool) -> None:
    results = check([Threshold(metric="auc", min=0.9, max=0.99)], {"auc": value})
    assert [(result.comparison, result.bound) for result in results] == [(">=", 0.9), ("<=", 0.99)]
    assert all(result.ok for result in results) is ok


@pytest.mark.parametrize(
    ("threshold", "change", "ok"),
    [
        (Threshold(metric="auc", min_change=-0.01), -0.01, True),
        (Threshold(metric="auc", min_change=-0.01), -0.011, False),
        (Threshold(metric="auc", max_change=0.01), 0.01, True),
        (Threshold(metric="auc", max_change=0.01), 0.011, False),
    ],
)
def test_change_is_the_difference_and_not_the_value(threshold: Threshold, change: float, ok: bool) -> None:
    [result] = check([threshold], {"auc": 0.5}, {"auc": change})
    assert (result.kind, result.value, result.ok) == ("change", change, ok)


def test_change_is_kept_without_a_baseline_but_not_if_it_was_not_measured() -> None:
    threshold = Threshold(metric="auc", slice=dict(CARD), min_change=0)
    [first] = check([threshold], {"auc": 0.9})
    assert (first.value, first.ok) == (None, True)
    [later] = check([threshold], {"auc": 0.9}, {"auc": 0.1})
    assert (later.value, later.ok) == (None, False)


def test_slice_is_checked_on_its_own_rows_and_fails_without_any() -> None:
    threshold = Threshold(metric="auc", slice=dict(CARD), min=0.6)
    in_slice = {"payment_type=Credit Card": SliceMetrics({"auc": 0.5}, {})}
    assert check([threshold], {"auc": 0.9}, slices=in_slice) == [
        ThresholdResult("auc", "payment_type=Credit Card", "value", ">=", 0.6, 0.5, False)
    ]
    [absent] = check([threshold], {"auc": 0.9})
    assert (absent.value, absent.ok) == (None, False)


def test_one_result_per_bound_in_the_order_of_the_policy() -> None:
    policy = [Threshold(metric="loss", max=1, max_change=0), Threshold(metric="auc", min=0.5, max=1, min_change=0)]
    assert [(each.metric, each.kind, each.comparison, each.bound) for each in check(policy)] == [
        ("loss", "value", "<=", 1),
        ("loss", "change", "<=", 0),
        ("auc", "value", ">=", 0.5),
        ("auc", "value", "<=", 1),
        ("auc", "change", ">=", 0),
    ]


@pytest.mark.parametrize("value", [0.9, 0.8999, 0.95, 0.99, 0.9901, math.nan])
@pytest.mark.parametrize("change", [-0.01, -0.0101, 0.0, 0.02])
def test_decision_is_the_same_as_the_evaluators(value: float, change: float) -> None:
    policy = "[{metric: auc, min: 0.9, max: 0.99}, {metric: auc, min_change: -0.01}]"
    config = load_config(ROOT / "configs/taxi.yaml", {"evaluation.metrics": "[auc]", "evaluation.thresholds": policy})
    bounds = update_eval_config_with_defaults(eval_config(config), has_baseline=True)
    measured = {
        MetricKey("auc", model_name="candidate"): value,
        MetricKey("auc", model_name="candidate", is_diff=True): change,
    }
    ours = check(config.evaluation.thresholds, {"auc": value}, {"auc": change})
    assert all(result.ok for result in ours) is validate_metrics(((), measured), bounds).validation_ok


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00301, "auc is 0.00301; expected at most 0.002"),
        (math.nan, "auc is not defined on the eval split; expected at most 0.002"),
        (None, "auc is not defined on the eval split; expected at most 0.002"),
    ],
)
def test_result_says_what_was_found_and_expected(value: float | None, text: str) -> None:
    assert str(ThresholdResult("auc", "overall", "value", "<=", 0.002, value, False)) == text
