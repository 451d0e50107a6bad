"""Which JSON values the dtypes of TensorFlow accept."""

import functools

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from serving.rest_json.tensor_parsing import FLOATING, STRINGS, DtypeRules

INT32, UINT64 = (-(2**31), 2**31 - 1), (0, 2**64 - 1)
# Minimum and maximum JSON value by dtype. Like TensorFlow Serving, small integers are only checked as 32-bit integers.
RANGES: dict[tf.DType, tuple[int, int]] = {
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8), INT32),
    tf.int64: (-(2**63), 2**63 - 1),
    tf.uint32: (0, 2**32 - 1),
    tf.uint64: UINT64,
}
TYPES: dict[tf.DType, frozenset[type]] = {
    **dict.fromkeys((tf.float16, tf.float32, tf.float64), FLOATING),
    **dict.fromkeys(RANGES, frozenset([int])),
    tf.bool: frozenset([bool]),
    tf.string: STRINGS,
}
SMALL = (tf.int16, tf.int8, tf.uint8)
# As TensorFlow's C++ prints them.
NAMES = {types_pb2.DT_FLOAT: "float", types_pb2.DT_DOUBLE: "double", types_pb2.DT_HALF: "half"}


@functools.cache
def rules_for(number: int) -> DtypeRules:
    """Returns the rules for a dtype.

    Args:
        number: Number of the dtype in ``types.proto``.
    """
    tf_dtype = tf.dtypes.as_dtype(number).base_dtype
    dtype = np.dtype(tf_dtype.as_numpy_dtype)
    return DtypeRules(
        name=NAMES.get(tf_dtype.as_datatype_enum, tf_dtype.name),
        types=TYPES.get(tf_dtype, frozenset()),
        bounds=RANGES.get(tf_dtype),
        intermediate=np.dtype(np.int32) if tf_dtype in SMALL else dtype,
        dtype=dtype,
    )
