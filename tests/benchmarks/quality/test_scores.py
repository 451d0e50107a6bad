import numpy as np
import pytest

from benchmarks.quality.scores import interval, is_better, score

LABEL = np.array([0, 1] * 100)
RIGHT = LABEL[:, np.newaxis] + np.linspace(0, 0.1, 200)[:, np.newaxis]
COIN = np.random.default_rng(0).random((200, 1))


def test_scores() -> None:
    assert score("binary", LABEL, RIGHT) == 1
    assert score("multiclass", LABEL, np.array([[0.8, 0.2]] * 200)) == 0.5
    assert score("regression", np.array([1.0, 3.0]), np.array([[1.0], [1.0]])) == pytest.approx(2**0.5)


def test_smaller_errors_and_larger_areas_are_better() -> None:
    assert is_better("regression", 1, 2)
    assert is_better("binary", 0.9, 0.8)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_interval_is_positive_if_the_first_model_is_better(task: str) -> None:
    assert interval(task, LABEL, RIGHT, COIN, 30)[0] > 0
    assert interval(task, LABEL, COIN, RIGHT, 30)[1] < 0
    low, high = interval(task, LABEL, RIGHT, RIGHT, 30)
    assert low == high == 0
