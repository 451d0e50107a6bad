from collections import Counter

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_components.shared.seeded_split import split_index

BOUNDS = (7, 8, 10)
cells = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(width=32, allow_nan=False) | st.text(max_size=5)
rows = st.dictionaries(st.sampled_from(["user", "fare", "city", "tips"]), cells)


def example(row: dict[str, object]) -> tf.train.Example:
    result = tf.train.Example()
    for name, value in row.items():
        feature = result.features.feature[name]
        if isinstance(value, int):
            feature.int64_list.value.append(value)
        elif isinstance(value, float):
            feature.float_list.value.append(value)
        elif isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        else:
            del result.features.feature[name]
    return result


def split_of(row: dict[str, object], seed: int = 0, key: str | None = None) -> int:
    return split_index(example(row), len(BOUNDS), BOUNDS, seed, key)


@settings(deadline=None)
@given(row=rows, seed=st.integers(0, 2**31), key=st.none() | st.just("user"))
def test_a_row_always_falls_into_the_same_split(row: dict[str, object], seed: int, key: str | None) -> None:
    reordered = dict(reversed(row.items()))
    found = split_of(row, seed, key)
    assert found in range(len(BOUNDS))
    assert split_of(reordered, seed, key) == found


@settings(deadline=None)
@given(one=rows, other=rows, user=cells.filter(lambda cell: cell is not None), seed=st.integers(0, 99))
def test_rows_that_share_the_key_are_on_the_same_side(
    one: dict[str, object], other: dict[str, object], user: object, seed: int
) -> None:
    assert split_of({**one, "user": user}, seed, "user") == split_of({**other, "user": user}, seed, "user")


def test_without_a_key_rows_of_one_user_get_different_splits() -> None:
    assert len({split_of({"user": 1, "fare": fare}) for fare in range(100)}) == 3


def test_rows_that_lack_the_key_are_no_group() -> None:
    assert len({split_of({"fare": fare}, key="user") for fare in range(100)}) == 3


@pytest.mark.parametrize("empty", [tf.train.Feature(), tf.train.Feature(bytes_list=tf.train.BytesList())])
def test_rows_without_a_key_do_not_form_a_group(empty: tf.train.Feature) -> None:
    found = set()
    for fare in range(100):
        row = example({"fare": fare})
        row.features.feature["user"].CopyFrom(empty)
        found.add(split_index(row, len(BOUNDS), BOUNDS, 0, "user"))
    assert len(found) == 3


@pytest.mark.parametrize("key", [None, "user"])
def test_shares_are_about_those_asked_for(key: str | None) -> None:
    counts = Counter(split_of({"user": number}, key=key) for number in range(5000))
    for index, share in enumerate((0.7, 0.1, 0.2)):
        assert counts[index] / 5000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("key", [None, "user"])
def test_another_seed_is_another_split(key: str | None) -> None:
    first, second = ([split_of({"user": user}, seed, key) for user in range(500)] for seed in (1, 2))
    moved = sum(one != other for one, other in zip(first, second, strict=True)) / 500
    assert moved == pytest.approx(1 - (0.49 + 0.01 + 0.04), abs=0.08)
