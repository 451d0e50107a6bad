"""Compares shifts with distributions whose difference is known, and with what chance makes of equal ones."""

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl

from reports.statistics.distributions import StringValues, numeric_values
from reports.statistics.shifts import PRECISION, Sample, Shift, jensen_shannon, shift

Draw = Callable[[np.random.Generator, int], np.ndarray]


def sample(values: np.ndarray, missing: int = 0) -> Sample:
    """A column as TFDV describes it."""
    integers = values.dtype.kind == "i"
    column = pa.array(values.astype(np.int64 if integers else np.float32))
    lists = pa.LargeListArray.from_arrays(pa.array(np.arange(len(column) + 1)), column)
    batch = pa.RecordBatch.from_arrays([lists], ["x"])
    found = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions()).datasets[0].features[0]
    return Sample(len(values) + missing, missing, numeric_values(found.num_stats, integers))


def words(rows: int, fractions: dict[str, float], missing: int = 0) -> Sample:
    return Sample(rows, missing, StringValues(len(fractions), fractions))


SHAPES: dict[str, Draw] = {
    "normal": lambda random, rows: random.normal(size=rows),
    "long tail": lambda random, rows: random.lognormal(0, 3, rows),
    "many zeros": lambda random, rows: np.where(random.random(rows) < 0.7, 0, random.normal(size=rows)),
    "one value among others": lambda random, rows: np.where(
        random.random(rows) < 0.45, 1.5, random.lognormal(0, 1, rows)
    ),
    "hours": lambda random, rows: random.integers(0, 24, rows),
    "prices": lambda random, rows: np.floor(random.lognormal(2, 1, rows)) + 0.99,
    "two peaks": lambda random, rows: np.where(random.random(rows) < 0.5, 0.0, 10.0) + random.normal(0, 0.01, rows),
    "constant": lambda random, rows: np.ones(rows),
}


@pytest.mark.parametrize("draw", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("rows", "other"), [(2_000, 200), (20_000, 3_000)])
def test_two_samples_of_the_same_rows_are_not_marked(draw: Draw, rows: int, other: int) -> None:
    random = np.random.default_rng(5)
    found = shift(sample(draw(random, rows)), sample(draw(random, other)), alpha=0.001)
    assert found
    assert not found.is_larger


@pytest.mark.parametrize(
    "changed",
    [
        lambda random, rows: random.normal(0.3, 1, rows),
        lambda random, rows: random.normal(0, 1.5, rows),
        lambda random, rows: random.normal(0, 30, rows),
        lambda random, rows: np.where(random.random(rows) < 0.2, 0.0, random.normal(size=rows)),
    ],
)
def test_another_distribution_is_marked(changed: Draw) -> None:
    random = np.random.default_rng(1)
    found = shift(sample(random.normal(size=5_000)), sample(changed(random, 1_000)), alpha=0.001)
    assert found
    assert found.is_larger


def test_the_shift_of_numbers_is_the_jensen_shannon_divergence_of_their_bins() -> None:
    """The bins end at 2 to 4, the values up to which the fractions of both samples are known."""
    one, other = np.repeat([1.0, 2, 3, 4, 5], [30, 20, 20, 20, 10]), np.repeat([1.0, 2, 3, 4, 5], [10, 20, 20, 20, 30])
    found = shift(sample(one), sample(other))
    assert found
    assert found.value == pytest.approx(jensen_shannon([0.5, 0.2, 0.2, 0.1], [0.3, 0.2, 0.2, 0.3]), abs=1e-6)
    apart = shift(sample(one), sample(one + 100))
    assert apart
    assert apart.value == pytest.approx(1)


def test_splits_that_do_not_overlap_are_as_far_apart_as_can_be() -> None:
    random = np.random.default_rng(2)
    for draw in (random.random, random.standard_exponential):
        found = shift(sample(draw(2_000)), sample(50 + draw(300)))
        assert found
        assert found.value == pytest.approx(1)


def test_chance_is_the_chi_squared_quantile_of_the_divergence() -> None:
    """9 degrees of freedom exceed 21.666 with a probability of 0.01."""
    values = np.random.default_rng(0).normal(size=400)
    found = shift(sample(values), sample(values[:100]), alpha=0.01)
    assert found
    assert found.by_chance == pytest.approx(21.666 * (1 / 400 + 1 / 100) / (8 * math.log(2)), rel=0.01)
    many = shift(Sample(10**9, 0, sample(values).values), Sample(10**9, 0, sample(values).values))
    assert many == Shift(0.0, PRECISION)


@pytest.mark.parametrize(
    ("one", "other", "value", "is_larger"),
    [
        (words(1_000, {"a": 0.75, "b": 0.25}), words(1_000, {"a": 0.25, "c": 0.75}), 0.75, True),
        (words(1_000, {"a": 0.5, "b": 0.5}), words(1_000, {"a": 0.52, "b": 0.48}), 0.02, False),
        (words(100_000, {"a": 0.5, "b": 0.5}), words(100_000, {"a": 0.52, "b": 0.48}), 0.02, True),
        (words(4, {"a": 0.5, "b": 0.5}), words(4, {"a": 1.0}), 0.5, False),
        (words(1_000, {"a": 1.0}), words(1_000, {"a": 1.0}, 400), 0.4, True),
        (words(1_000, {"a": 1.0}), Sample(1_000, 1_000, None), 1.0, True),
    ],
)
def test_the_shift_of_strings_is_the_largest_difference_of_a_value(
    one: Sample, other: Sample, value: float, is_larger: bool
) -> None:
    for found in (shift(one, other), shift(other, one)):
        assert found
        assert found.value == pytest.approx(value)
        assert found.is_larger == is_larger


def test_a_string_that_is_not_listed_may_be_as_frequent_as_the_last_one_that_is() -> None:
    first = {f"w{number}": 0.01 for number in range(20)}
    found = shift(words(100_000, first), words(100_000, {f"v{number}": 0.01 for number in range(20)}))
    assert found == Shift(0.0, found.by_chance if found else 0.0)


def test_missing_numbers_are_a_bin_of_their_own() -> None:
    values = np.random.default_rng(0).normal(size=1_000)
    found = shift(sample(values), sample(values, missing=1_000))
    assert found
    assert found.value == pytest.approx(jensen_shannon([1, 0], [0.5, 0.5]), abs=1e-6)


def test_other_types_and_splits_without_rows_have_no_shift() -> None:
    assert shift(sample(np.ones(3)), words(3, {"a": 1.0})) is None
    assert shift(sample(np.ones(3)), Sample(0, 0, None)) is None
    assert shift(Sample(3, 3, None), Sample(3, 3, None)) is None
