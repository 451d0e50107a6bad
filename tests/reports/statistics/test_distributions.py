import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl

from reports.statistics.distributions import NumericValues, histogram, numeric_values


def of(values: list[float] | list[int]) -> NumericValues:
    kind = pa.int64() if isinstance(values[0], int) else pa.float32()
    batch = pa.RecordBatch.from_arrays([pa.array([[each] for each in values], pa.list_(kind))], ["x"])
    found = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions()).datasets[0].features[0].num_stats
    return numeric_values(found, integers=kind == pa.int64())


def test_few_integers_are_a_bin_each() -> None:
    found = histogram(of([1, 1, 2, 7] * 10), of([4, 5, 6, 7] * 10))
    assert found
    assert (found.low, found.high, len(found.first)) == (1, 7, 7)
    assert found.first == pytest.approx((0.5, 0.25, 0, 0, 0, 0, 0.25), abs=2e-3)  # TFDV counts within 0.1 %
    assert found.second == pytest.approx((0, 0, 0, 0.25, 0.25, 0.25, 0.25), abs=2e-3)


def test_fractions_of_numbers_add_up_to_one() -> None:
    found = histogram(of([0.0] * 50 + [float(each) for each in range(50)]), of([float(each) for each in range(100)]))
    assert found
    assert sum(found.first) == pytest.approx(1)
    assert sum(found.second) == pytest.approx(1)
    assert found.first[0] > 0.45


def test_a_long_tail_is_cut_off() -> None:
    found = histogram(of([float(each) for each in range(200)] + [1e6]), None)
    assert found
    assert found.cut
    assert found.high < 1000
    assert set(found.second) == {0.0}


def test_one_value_is_one_bin() -> None:
    found = histogram(of([2.5] * 5), of([2.5] * 3))
    assert found
    assert sorted(found.first)[-2:] == [0.0, 1.0]
    assert found.first == found.second
