"""Writes tensors as nested JSON lists, with floats formatted as by TensorFlow Serving."""

import base64
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import invalid_argument
from serving.rest_json.values import BASE64, string_text, to_bytes
from serving.slices import MAX_VALUES, slices

FEW_VALUES = 32


def float_texts(array: NDArray[Any]) -> list[str]:
    """Returns each float of an array [N] as JSON. Other threads run in between if there are many.

    A float has six significant digits if they are sufficient to restore it, and otherwise 9 (float32) or 17 (float64).
    Whole numbers have a decimal point, unless they have an exponent.

    >>> float_texts(np.array([3, 0.1, 9e6, 1 / 3, np.nan], np.float32))
    ['3.0', '0.1', '9e+06', '0.333333343', 'NaN']
    """
    if len(array) <= FEW_VALUES:
        return _few_float_texts(array)
    if len(array) <= MAX_VALUES:
        return _float_texts(array)
    return [text for part in slices(len(array)) for text in _float_texts(array[part])]


def _few_float_texts(array: NDArray[Any]) -> list[str]:
    """Formats value by value, which is faster for few values than numpy."""
    kind, template = (np.float64, "%.17g") if array.dtype == np.float64 else (np.float32, "%.9g")
    values = array.tolist()
    texts = [f"{value:g}" for value in values]
    with np.errstate(over="ignore"):
        restored = np.array([float(text) for text in texts]).astype(kind, copy=False).tolist()
    for place, (value, same) in enumerate(zip(values, restored, strict=True)):
        if not math.isfinite(value):
            texts[place] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            continue
        if same != value:
            texts[place] = template % value
        if "." not in texts[place] and "e" not in texts[place]:
            texts[place] += ".0"
    return texts


def _float_texts(array: NDArray[Any]) -> list[str]:
    wide = array.astype(np.float64)
    kind, digits = (np.float64, 17) if array.dtype == np.float64 else (np.float32, 9)
    texts = _format_all(f"%.{digits}g", wide)
    places = np.flatnonzero(_may_have_six_digits(wide, kind))
    shorter = _format_all("%g", wide[places])
    with np.errstate(over="ignore"):
        same = np.array([float(text) for text in shorter]).astype(kind) == wide[places]
    for place, text, fits in zip(places.tolist(), shorter, same.tolist(), strict=True):
        if fits:
            texts[place] = text
    texts = [text if "." in text or "e" in text else text + ".0" for text in texts]
    for place in np.flatnonzero(~np.isfinite(wide)).tolist():
        texts[place] = "NaN" if math.isnan(wide[place]) else "Infinity" if wide[place] > 0 else "-Infinity"
    return texts


def _format_all(template: str, array: NDArray[Any]) -> list[str]:
    """Formats all numbers at once, which takes a third of the time of formatting each."""
    return (f"{template} " * len(array) % tuple(array.tolist())).split()


def _may_have_six_digits(array: NDArray[Any], kind: type[np.floating[Any]]) -> NDArray[Any]:
    """Returns a mask of the numbers for which six digits may be sufficient. It excludes most of a model's outputs."""
    with np.errstate(all="ignore"):
        scale = 10.0 ** (5 - np.floor(np.log10(np.abs(array))))
        rounded = np.rint(array * scale) / scale
        # Half the distance to the next number, plus the rounding error of the lines above.
        limits = np.finfo(kind)
        bound = (0.51 * limits.eps + 1e-14) * np.abs(array) + limits.smallest_subnormal
        return ~(np.abs(rounded - array) > bound)  # true where the logarithm is undefined


def row_texts(arrays: Mapping[str, NDArray[Any]], as_bytes: Collection[str]) -> dict[str, list[str]]:
    """Returns the rows of tensors as JSON, by the name of the tensor.

    >>> row_texts({"x": np.array([[1, 2], [3, 4]]), "s": np.array([b"a", b"b"], object)}, as_bytes=["s"])
    {'x': ['[1, 2]', '[3, 4]'], 's': ['{"b64": "YQ=="}', '{"b64": "Yg=="}']}

    Args:
        arrays: The tensors by name, with at least one dimension each.
        as_bytes: Names of tensors whose strings are written as base64 objects.

    Raises:
        ServingError: A dtype has no JSON representation.
    """
    floats = _float_value_texts([array for array in arrays.values() if array.dtype.kind == "f"])
    return {
        name: _nest(next(floats) if array.dtype.kind == "f" else _value_texts(array, name in as_bytes), array.shape)
        for name, array in arrays.items()
    }


def _float_value_texts(arrays: Sequence[NDArray[Any]]) -> Iterator[list[str]]:
    """Yields the values of each array as JSON. Arrays of the same dtype are formatted together, which is faster."""
    dtypes = {array.dtype for array in arrays}
    texts = {
        dtype: iter(float_texts(np.concatenate([array.reshape(-1) for array in arrays if array.dtype == dtype])))
        for dtype in dtypes
    }
    return (list(itertools.islice(texts[array.dtype], array.size)) for array in arrays)


def _nest(texts: list[str], shape: Sequence[int]) -> list[str]:
    """Returns the rows of a tensor as JSON, given its values as JSON."""
    for axis in range(len(shape) - 1, 0, -1):
        size = shape[axis]
        if not size:
            texts = ["[]"] * math.prod(shape[:axis])
        else:
            joined = map(", ".join, zip(*[iter(texts)] * size, strict=True))
            texts = [f"[{each}]" for each in joined]
    return texts


def _value_texts(array: NDArray[Any], as_bytes: bool) -> list[str]:
    values = array.reshape(-1).tolist()
    match array.dtype.kind:
        case "b":
            return ["true" if value else "false" for value in values]
        case "i" | "u":
            return [str(value) for value in values]
        case "O" | "S" | "U":
            raw = [value if isinstance(value, bytes) else to_bytes(value) for value in values]
            texts = {value: _base64_text(value) if as_bytes else string_text(value) for value in set(raw)}
            return [texts[value] for value in raw]
    raise invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype}")


def _base64_text(value: bytes) -> str:
    return f'{{"{BASE64}": "{base64.b64encode(value).decode()}"}}'
