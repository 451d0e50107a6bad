import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.traffic import split_traffic


@pytest.mark.parametrize(
    ("traffic", "earlier", "expected"),
    [
        (10, {}, {"new": 100}),
        (0, {}, {"new": 100}),
        (10, {"a": 0}, {"new": 100}),
        (100, {"a": 100}, {"new": 100}),
        (10, {"a": 100}, {"a": 90, "new": 10}),
        (0, {"a": 100}, {"a": 100}),
        (10, {"a": 90, "b": 10}, {"a": 81, "b": 9, "new": 10}),
        (1, {"a": 50, "b": 50}, {"a": 50, "b": 49, "new": 1}),
        (99, {"a": 34, "b": 66}, {"b": 1, "new": 99}),
        (50, {"a": 99, "b": 1}, {"a": 50, "new": 50}),
        (50, {"a": 98, "b": 2, "c": 0}, {"a": 49, "b": 1, "new": 50}),
    ],
)
def test_the_rest_is_shared_as_before(traffic: int, earlier: dict[str, int], expected: dict[str, int]) -> None:
    assert split_traffic("new", traffic, earlier) == expected


@given(
    st.integers(0, 100),
    st.dictionaries(st.text(min_size=1, max_size=3).filter(lambda key: key != "new"), st.integers(0, 100), max_size=6),
)
def test_shares_sum_to_a_hundred_and_are_off_by_less_than_one(traffic: int, earlier: dict[str, int]) -> None:
    shares = split_traffic("new", traffic, earlier)
    assert sum(shares.values()) == 100
    assert all(isinstance(value, int) and value > 0 for value in shares.values())
    total = sum(earlier.values())
    if total:
        assert shares.get("new", 0) == traffic
        for key, value in earlier.items():
            assert abs(shares.get(key, 0) - (100 - traffic) * value / total) < 1
