"""Lists of numbers, compared with numpy."""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_table import small_table

from models.problem.features import Feature
from models.problem.lists import Numbers
from models.transforms.columns import RawColumns, as_lists
from models.transforms.lists import STATISTICS, _numbers, _statistics

NUMBERS = st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.nan, math.inf])


def described(values: list[Any]) -> list[float]:
    known = [each for each in values if each is not None and math.isfinite(each)]
    rest = [np.mean(known), min(known), max(known)] if known else [math.nan] * 3
    return [len(known), *rest]


@pytest.fixture(scope="module")
def analyzed() -> np.ndarray[Any, Any]:
    """Count, mean, minimum and maximum of the rows of the small table."""
    return np.array([described((row["readings"] or [])[:4]) for row in small_table().rows])


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.lists(NUMBERS, max_size=6), min_size=1, max_size=9))
def test_a_list_becomes_four_numbers_that_are_z_scored(analyzed: Any, rows: list[list[float]]) -> None:
    expected = (np.array([described(row[:4]) for row in rows]) - np.nanmean(analyzed, 0)) / np.nanstd(analyzed, 0)
    found = small_table().transform([{"readings": row} for row in rows])["readings_numbers"]
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=1e-4, atol=1e-4)


def test_numbers_in_a_text() -> None:
    texts = tf.constant([["1; 2.5;-3e1"], ["4"], [""], ["a;5;;6;7"], ["inf;nan;1e999"]])
    feature = Feature("x", ("x",), Numbers(max_length=3, separator=";"))
    found = _statistics(_numbers(feature, RawColumns({"x": texts}, {}, {})))
    expected = [described(row) for row in ([1, 2.5, -30], [4], [], [5], [])]
    np.testing.assert_allclose(np.concatenate([found[name] for name in STATISTICS], axis=1), expected, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 100])
def test_a_statistic_does_not_depend_on_the_size_of_the_batch(width: int) -> None:
    lists = tf.constant(np.random.default_rng(width).lognormal(0, 5, [33, width]), tf.float32)
    together = _statistics(lists)
    for row in range(33):
        for name, value in _statistics(lists[row : row + 1]).items():
            assert value.numpy().tobytes() == together[name][row : row + 1].numpy().tobytes(), name
    np.testing.assert_allclose(together["mean"][:, 0], lists.numpy().astype(float).mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_columns_of_lists_are_cut_and_filled_up(dense: bool) -> None:
    ragged = tf.ragged.constant([[1.0, 2.0, 3.0], [4.0], []])
    column = ragged.to_tensor(math.nan) if dense else ragged.to_sparse()
    for length in (2, 5):
        found = as_lists({"x": column}, {"x": length})["x"]
        assert found.shape == (3, length)
        expected = [(row + [math.nan] * 5)[:length] for row in ragged.to_list()]
        np.testing.assert_array_equal(found, np.array(expected, np.float32))
