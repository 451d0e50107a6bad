"""Tensors as JSON: the decimals that give a float back, and values one inside the other as the tensor's shape says."""

import base64
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import invalid
from serving.models.servable import Array
from serving.rest_json.values import BASE64, string_text, to_bytes


def decimals(array: Array) -> list[str]:
    """Each float of an array [N] as text: six digits if those give it back, and never like a whole number."""
    wide = array.astype(np.float64)
    kind, digits = (np.float64, 17) if array.dtype == np.float64 else (np.float32, 9)
    texts = _printed(f"%.{digits}g", wide)
    places = np.flatnonzero(_near_six_digits(wide, kind))
    shorter = _printed("%g", wide[places])
    with np.errstate(over="ignore"):
        same = np.array([float(text) for text in shorter]).astype(kind) == wide[places]
    for place, text, fits in zip(places.tolist(), shorter, same.tolist(), strict=True):
        if fits:
            texts[place] = text
    texts = [text if "." in text or "e" in text else text + ".0" for text in texts]
    for place in np.flatnonzero(~np.isfinite(wide)).tolist():
        texts[place] = "NaN" if math.isnan(wide[place]) else "Infinity" if wide[place] > 0 else "-Infinity"
    return texts


def _printed(form: str, array: Array) -> list[str]:
    """All numbers printed at once, which costs a third of printing each."""
    return (f"{form} " * len(array) % tuple(array.tolist())).split()


def _near_six_digits(array: Array, kind: type[np.floating[Any]]) -> Array:
    """Where six digits may do, which most numbers that a model computes rule out before they are printed."""
    with np.errstate(all="ignore"):
        scale = 10.0 ** (5 - np.floor(np.log10(np.abs(array))))
        rounded = np.rint(array * scale) / scale
        # Half of the way to the next number, and what the lines above may be wrong by.
        limits = np.finfo(kind)
        bound = (0.51 * limits.eps + 1e-14) * np.abs(array) + limits.smallest_subnormal
        return ~(np.abs(rounded - array) > bound)  # also where there is no logarithm


def list_texts(arrays: Mapping[str, Array], as_bytes: Collection[str]) -> dict[str, list[str]]:
    """The rows of tensors as JSON, by the tensors' names.

    Args:
        arrays: The tensors, each of at least one dimension.
        as_bytes: Names of those whose strings are written as base64 objects.

    Raises:
        ServingError: A tensor's dtype has no JSON.
    """
    floats = _float_texts([array for array in arrays.values() if array.dtype.kind == "f"])
    return {
        name: _nested(next(floats) if array.dtype.kind == "f" else _value_texts(array, name in as_bytes), array.shape)
        for name, array in arrays.items()
    }


def _float_texts(arrays: Sequence[Array]) -> Iterator[list[str]]:
    """The values of each array; all those of a dtype are printed at once, which costs little more than those of one."""
    dtypes = {array.dtype for array in arrays}
    printed = {
        dtype: iter(decimals(np.concatenate([array.reshape(-1) for array in arrays if array.dtype == dtype])))
        for dtype in dtypes
    }
    return (list(itertools.islice(printed[array.dtype], array.size)) for array in arrays)


def _nested(texts: list[str], shape: Sequence[int]) -> list[str]:
    """The texts of a tensor's rows, from those of its values."""
    for axis in range(len(shape) - 1, 0, -1):
        size = shape[axis]
        if not size:
            texts = ["[]"] * math.prod(shape[:axis])
        else:
            joined = map(", ".join, zip(*[iter(texts)] * size, strict=True))
            texts = [f"[{each}]" for each in joined]
    return texts


def _value_texts(array: Array, as_bytes: bool) -> list[str]:
    values = array.reshape(-1).tolist()
    match array.dtype.kind:
        case "b":
            return ["true" if value else "false" for value in values]
        case "i" | "u":
            return [str(value) for value in values]
        case "O" | "S" | "U":
            raw = [value if isinstance(value, bytes) else to_bytes(value) for value in values]
            known = {value: _bytes_text(value) if as_bytes else string_text(value) for value in set(raw)}
            return [known[value] for value in raw]
    raise invalid(f"Failed to write JSON value for tensor type: {array.dtype}")


def _bytes_text(value: bytes) -> str:
    return f'{{"{BASE64}": "{base64.b64encode(value).decode()}"}}'
