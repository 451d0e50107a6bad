"""Finds distributions for which a logarithm helps."""

import numpy as np
import numpy.typing as npt

SKEWED = 1.5  # skewness from which a logarithm is considered


def is_skewed(numbers: npt.NDArray[np.float64]) -> bool:
    """Whether a logarithm makes a distribution much more symmetric. ``numbers`` has NaN for missing values."""
    finite = numbers[np.isfinite(numbers)]
    before = abs(_skewness(finite))
    return before > SKEWED and abs(_skewness(np.sign(finite) * np.log1p(np.abs(finite)))) < before / 2


def _skewness(numbers: npt.NDArray[np.float64]) -> float:
    if len(numbers) < 3:
        return 0.0
    scale = numbers.std()
    if not np.isfinite(scale) or scale == 0:
        return 0.0
    return float((((numbers - numbers.mean()) / scale) ** 3).mean())
