"""Compares what a network predicts: TensorFlow computes a row's last bits differently at another place of a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-6  # absolute and relative, for float32


def assert_same_predictions(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Asserts that numbers are equal to :data:`TOLERANCE`, and class names exactly."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        one, other = np.asarray(found[name]), np.asarray(values)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if other.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)
