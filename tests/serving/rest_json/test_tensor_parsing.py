from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.rest_json.dtype_rules import rules_for
from serving.rest_json.tensor_parsing import flat_values, read_tensor, read_well_formed, shape_of, to_array

NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.integers(-300, 300)
    | st.floats(width=32)
    | st.just(1e308)
    | st.sampled_from([10**400, -(10**400)])
)
SCALARS = NUMBERS | st.booleans() | st.none() | st.text(max_size=2) | st.just({"b64": "YQ=="}) | st.just({"a": 1})
BASE64 = st.sampled_from([{"b64": "YQ=="}, {"b64": "/w"}, {"b64": "*"}])
ALIKE = st.sampled_from([NUMBERS, st.integers(-5, 5), st.text(max_size=2), st.booleans(), BASE64]).flatmap(
    lambda scalars: st.integers(0, 3).flatmap(lambda size: st.lists(st.lists(scalars, min_size=size, max_size=size)))
)
VALUES = ALIKE | st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
DTYPES = [tf.float32, tf.float64, tf.float16, tf.int64, tf.int32, tf.uint8, tf.uint64, tf.bool, tf.string, tf.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@given(value=VALUES)
def test_fast_and_slow_parsing_agree(dtype: tf.DType, value: Any) -> None:
    kind = rules_for(dtype.as_datatype_enum)
    fast = read_well_formed(value, kind)
    try:
        shape = shape_of(value)
        slow = to_array(flat_values(value, kind, shape), kind).reshape(shape)
    except (ServingError, ValueError):
        assert fast is None
        return
    if fast is not None:
        assert (fast.dtype, fast.shape) == (slow.dtype, slow.shape)
        np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("whole", [10**308, 17 * 10**307, -17 * 10**307])
def test_integer_becomes_infinite_only_beyond_the_largest_float(whole: int) -> None:
    double, single = (rules_for(dtype.as_datatype_enum) for dtype in (tf.float64, tf.float32))
    assert read_tensor([whole, 10**309, -(10**400)], double).tolist() == [float(whole), np.inf, -np.inf]
    assert read_tensor(whole, single) == np.copysign(np.inf, float(whole))
