import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from common.intervals import wilson
from reports.statistics.intervals import precision_recall_area, roc_area


@pytest.mark.parametrize(("share", "rows", "low", "high"), [(0.8, 5, 0.3755, 0.9638), (0.0, 10, 0.0, 0.2775)])
def test_share_has_wilsons_interval(share: float, rows: int, low: float, high: float) -> None:
    assert wilson(share, rows) == pytest.approx((low, high), abs=1e-4)


def test_area_has_the_error_of_hanley_and_mcneils_example() -> None:
    """They give 0.032 for an area of 0.893 over 51 and 58 images."""
    interval = roc_area(0.893, 51, 58)
    assert interval
    low, high = (math.log(each / (1 - each)) for each in interval)
    error = (high - low) / (2 * 1.959964) * 0.893 * (1 - 0.893)
    assert error == pytest.approx(0.0325, abs=1e-4)


def test_area_of_many_samples_lies_in_its_interval_as_often_as_is_said() -> None:
    draw = np.random.default_rng(1)
    true = 0.5 * (1 + math.erf(1.5 / 2))  # of two normal distributions 1.5 deviations apart
    label = np.repeat([0, 1], [60, 40])
    held = 0
    for _ in range(200):
        interval = roc_area(roc_auc_score(label, draw.normal(size=100) + 1.5 * label), 40, 60)
        assert interval
        held += interval.low <= true <= interval.high
    assert held >= 182  # 190 are expected, give or take 3 deviations


def test_area_below_precision_and_recall_is_less_sure_with_fewer_positives() -> None:
    few, many = precision_recall_area(0.7, 10), precision_recall_area(0.7, 1000)
    assert few
    assert many
    assert few.low < many.low < 0.7 < many.high < few.high
    assert many == pytest.approx((0.6707, 0.7278), abs=1e-3)


@pytest.mark.parametrize(
    "interval",
    [
        wilson(0.5, 0),
        wilson(math.nan, 5),
        roc_area(1.0, 5, 5),
        roc_area(0.7, 0, 5),
        precision_recall_area(0.7, 0),
    ],
)
def test_what_is_not_defined_has_none(interval: object) -> None:
    assert interval is None
