import itertools
from typing import Any, TypeAlias

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reports.statistics.buckets import Bucket, calibration, counts, roc

Values: TypeAlias = "np.ndarray[tuple[int], np.dtype[Any]]"


@pytest.fixture(name="sample")
def _sample() -> tuple[Values, Values]:
    draw = np.random.default_rng(5)
    prediction = draw.beta(0.7, 1.5, 2000)
    return prediction, draw.uniform(size=2000) < prediction


def bucketed(prediction: Values, label: Values, count: int = 100) -> list[Bucket]:
    found = []
    for place in range(count):
        held = (prediction >= place / count) & (prediction < (place + 1) / count)
        found.append(Bucket(place / count, held.sum(), label[held].sum(), prediction[held].sum()))
    return [each for each in found if each.rows]


def test_area_below_the_curve_is_that_of_the_rows(sample: tuple[Values, Values]) -> None:
    points = roc(bucketed(*sample))
    area = sum((x - before) * (y + low) / 2 for (before, low), (x, y) in itertools.pairwise(points))
    assert area == pytest.approx(roc_auc_score(sample[1], sample[0]), abs=1e-3)
    assert (points[0], points[-1]) == ((0, 0), (1, 1))


def test_one_class_alone_has_no_curve() -> None:
    assert roc([Bucket(0.1, 5, 5, 0.5)]) == ()
    assert roc([Bucket(0.1, 5, 0, 0.5)]) == ()
    assert roc([]) == ()


def test_calibration_has_ten_bins_of_the_rows(sample: tuple[Values, Values]) -> None:
    prediction, label = sample
    bins = calibration(bucketed(prediction, label))
    assert len(bins) == 10
    for place, each in enumerate(bins):
        held = (prediction >= place / 10) & (prediction < (place + 1) / 10)
        assert each.rows == held.sum()
        assert each.predicted == pytest.approx(prediction[held].mean())
        assert each.observed == pytest.approx(label[held].mean())
        assert each.interval.low <= each.observed <= each.interval.high


def test_predictions_beyond_the_ends_fall_into_the_last_bins() -> None:
    bins = calibration([Bucket(float("-inf"), 2, 0, 0.0), Bucket(0.0, 2, 0, 0.0), Bucket(1.0, 4, 4, 4.0)])
    assert [each.rows for each in bins] == [4, 4]


def test_counts_are_those_of_the_rows(sample: tuple[Values, Values]) -> None:
    prediction, label = sample
    found = counts(bucketed(prediction, label))
    assert found == (2000, label.sum())
