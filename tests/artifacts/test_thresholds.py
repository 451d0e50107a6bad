import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.metrics.metric_types import MetricKey
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.slicer.slicer_lib import serialize_slice_key
from tensorflow_model_analysis.utils.config_util import update_eval_config_with_defaults

from artifacts.nodes.metrics import Metrics, SliceMetrics, name_of
from artifacts.slices import SliceValue, read_by_tfma, slice_name
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
    gains: Mapping[str, float] | None = None,
    slices: Mapping[str, SliceMetrics] | None = None,
) -> list[ThresholdResult]:
    trivial = dict.fromkeys(gains or (), 0.5)
    metrics = Metrics({"overall": SliceMetrics(values or {}, changes or {}, gains or {}, trivial), **(slices or {})})
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


@pytest.mark.parametrize(("gained", "ok"), [(0.1, True), (0.0999, False), (math.nan, False)])
def test_gain_over_the_trivial_model_is_compared_and_shown_with_the_trivial_models_metric(
    gained: float, ok: bool
) -> None:
    [result] = check([Threshold(metric="auc", better_than_trivial=0.1)], {"auc": 0.6}, gains={"auc": gained})
    assert (result.kind, result.comparison, result.bound, result.ok) == ("better_than_trivial", ">=", 0.1, ok)
    assert result.trivial == 0.5
    assert str(result.value) == str(gained)


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
@pytest.mark.parametrize("gained", [0.4, 0.39999, 0.5, math.nan])
def test_decision_is_the_same_as_the_evaluators(value: float, change: float, gained: float) -> None:
    policy = "[{metric: auc, min: 0.9, max: 0.99, better_than_trivial: 0.4}, {metric: auc, min_change: -0.01}]"
    config = load_config(ROOT / "configs/taxi.yaml", {"evaluation.metrics": "[auc]", "evaluation.thresholds": policy})
    bounds = update_eval_config_with_defaults(eval_config(config), has_baseline=True)
    measured = {
        MetricKey("auc", model_name="candidate"): value,
        MetricKey("auc", model_name="candidate", is_diff=True): change,
        MetricKey("auc/gain", model_name="candidate"): gained,
    }
    ours = check(config.evaluation.thresholds, {"auc": value}, {"auc": change}, {"auc": gained})
    assert all(result.ok for result in ours) is validate_metrics(((), measured), bounds).validation_ok


@pytest.mark.parametrize(
    ("chosen", "found", "applies"),
    [
        *[(1, 1.0, True), (1.0, 1.0, True), (-2, -2.0, True), (0.0, -0.0, True), (2**24, 2.0**24, True)],
        *[(value, float(np.float32(value)), True) for value in (0.1, -2.7, 1e-7, 1e10, 1e38)],
        *[(1, 1.5, False), (0.1, 0.5, False), (0.1, 0.125, False)],
        *[(8, 8, True), (8, 9, False), (-1, -1, True), (2**62, 2**62, True), (2**62 + 1, 2**62, False)],
        *[("Cash", "Cash", True), ("Cash", "cash", False), ("7", "7", True), ("7", "8", False), ("1e3", "1e3", True)],
        *[("", "", True), ("a, b=1", "a, b=1", True), ("a", "a, b=1", False)],
    ],
)
def test_threshold_is_checked_on_the_slice_that_the_evaluator_checks(
    chosen: SliceValue, found: SliceValue, applies: bool
) -> None:
    threshold = Threshold(metric="auc", slice={"fare": chosen}, min=0.5)
    policy = "[{metric: auc, min: 0}]"
    overrides = {"evaluation.metrics": "[auc]", "evaluation.slices": "[[fare]]", "evaluation.thresholds": policy}
    config = load_config(ROOT / "configs/taxi.yaml", overrides)
    config = dataclasses.replace(
        config, evaluation=dataclasses.replace(config.evaluation, thresholds=(*config.evaluation.thresholds, threshold))
    )
    key = (("fare", found),)
    bounds = update_eval_config_with_defaults(eval_config(config), has_baseline=False)
    is_missed = not validate_metrics((key, {MetricKey("auc"): 0.25}), bounds).validation_ok
    measured = {name_of(serialize_slice_key(key)): SliceMetrics({"auc": 0.25}, {})}
    [result] = check([threshold], slices=measured)
    assert (result.value == 0.25) is is_missed
    assert is_missed is applies


def test_slices_by_one_and_by_two_columns_have_different_names() -> None:
    assert slice_name({"a": "x, b=y"}) != slice_name({"a": "x", "b": "y"})
    assert slice_name({"a": '"x'}) != slice_name({"a": "x"})


@pytest.mark.parametrize(
    "text", ["02134", "2134.0", " 7 ", "1_000", "٣", "1e3", "1.e3", "nan", "n.a.", "", "-0", "+5", "0x1F", ".5", "1,5"]
)
def test_text_is_read_as_tfma_reads_it(text: str) -> None:
    found, expected = read_by_tfma(text), slicer_lib._to_type(text)
    assert (type(found), found) == (type(expected), expected)


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
