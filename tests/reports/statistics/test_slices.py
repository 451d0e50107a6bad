"""Metrics of a slice as the Evaluator writes them and as the page shows them."""

import math
from collections.abc import Mapping, Sequence

import pytest
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from artifacts.names import EFFECTIVE_ROWS
from artifacts.nodes.metrics import SliceMetrics, _slice
from common.intervals import Interval
from reports.statistics.buckets import Bucket
from reports.statistics.slices import measure_slice


def written(values: Mapping[str, float], is_diff: bool = False) -> metrics_for_slice_pb2.MetricsForSlice:
    message = metrics_for_slice_pb2.MetricsForSlice()
    for name, value in values.items():
        added = message.metric_keys_and_values.add()
        added.key.name, added.key.is_diff = name, is_diff
        added.value.double_value.value = value
    return message


def test_what_is_derived_from_a_metric_is_told_apart_by_its_suffix() -> None:
    """The name of a class can look like a suffix."""
    names = {"f1(a/low)": 0.5, "f1(a/low)/low": 0.4, "f1(a/low)/high": 0.6, "f1(a/low)/gain": 0.1}
    message = written({**names, "f1(a/low)/trivial": 0.4, EFFECTIVE_ROWS: 7.5, "r2": math.nan, "r2/low": math.nan})
    message.MergeFrom(written({"f1(a/low)": -0.25, "f1(a/low)/low": -0.2, EFFECTIVE_ROWS: 0.0}, is_diff=True))
    message.MergeFrom(written({"r2/high": math.nan}))
    found = _slice(message)
    assert found.values.keys() == {"f1(a/low)", "r2"}
    assert found.changes == {"f1(a/low)": -0.25}
    assert (found.gains, found.trivial) == ({"f1(a/low)": 0.1}, {"f1(a/low)": 0.4})
    assert found.intervals == {"f1(a/low)": (0.4, 0.6)}
    assert found.effective_rows == 7.5


def test_intervals_are_those_of_the_evaluator_or_follow_from_the_buckets() -> None:
    buckets = [Bucket(0.2, 40, 10, 8.0), Bucket(0.7, 60, 40, 42.0)]
    values = {"auc": 0.75, "f1": 0.5, "mcc": math.nan, "mystery": 1.0}
    measured = SliceMetrics(values, {}, intervals={"f1": (0.4, 0.6)})
    found = measure_slice("overall", measured, buckets, None)
    assert found.rows == 100
    assert found.metrics["f1"].interval == Interval(0.4, 0.6)
    assert (found.metrics["mcc"].value, found.metrics["mystery"].interval) == (None, None)
    area = found.metrics["auc"].interval
    assert area
    weighted = measure_slice("overall", SliceMetrics(values, {}, effective_rows=25), scaled(buckets, 7), None)
    few = measure_slice("overall", SliceMetrics(values, {}), scaled(buckets, 0.25), None)
    assert weighted.metrics["auc"].interval == pytest.approx(few.metrics["auc"].interval)
    assert weighted.metrics["auc"].interval != pytest.approx(area, abs=1e-3)


def scaled(buckets: Sequence[Bucket], by: float) -> list[Bucket]:
    return [Bucket(each.low, each.rows * by, each.positives * by, each.predicted * by) for each in buckets]
