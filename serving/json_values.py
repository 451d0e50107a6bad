"""JSON as TensorFlow Serving has it: NaN and Infinity as bare tokens, base64 objects, floats that come back."""

import base64
import binascii
import json
import math
from typing import Any, TypeAlias

import numpy as np

from serving.errors import invalid
from serving.servable import Array

Json: TypeAlias = Any
BASE64 = "b64"
SIGNATURE_NAME = "signature_name"
SHOWN = 1000  # characters of a value in an error
_DECODER = json.JSONDecoder()
_BLANK = " \t\r\n"
_TYPES: dict[type, str] = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


def parse_object(body: bytes) -> dict[str, Json]:
    """The JSON object that a body begins with; what follows it is ignored.

    Raises:
        ServingError: There is none.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig", "surrogateescape")
        start = len(text) - len(text.lstrip(_BLANK))
        value, _ = _DECODER.raw_decode(text, start)
        if "\\u" in text:
            to_bytes(json.dumps(value, ensure_ascii=False))  # half a character cannot be written
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise invalid("JSON Parse error: Nested too deeply at offset: 0") from error
    except ValueError as error:  # a number of thousands of digits, or half a character
        raise invalid(f"JSON Parse error: {type(error).__name__} at offset: 0") from error
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {shown(value)} Is not object")
    if not isinstance(value.get(SIGNATURE_NAME, ""), str):
        raise invalid(
            f"JSON Value: {shown(value)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return value


def type_name(value: Json) -> str:
    """``Null``, ``True``, ``False``, ``Number``, ``String``, ``Array`` or ``Object``."""
    return str(value) if isinstance(value, bool) else _TYPES[type(value)]


def shown(value: Json) -> str:
    """A value in an error, cut to what a person reads."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def is_base64(value: Json) -> bool:
    """Whether a value is ``{"b64": "…"}`` and nothing else."""
    return isinstance(value, dict) and list(value) == [BASE64] and isinstance(value[BASE64], str)


def from_base64(value: Json) -> bytes:
    """The bytes of such a value.

    Raises:
        ServingError: They are no base64.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = "".join(value[BASE64].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def to_bytes(text: str) -> bytes:
    """A JSON string's bytes as they came, UTF-8 or not."""
    return text.encode("utf-8", "surrogateescape")


def decimal(value: float, single: bool) -> str:
    """A float as text: as short as six digits if those give it back, and never like a whole number.

    Args:
        value: The number.
        single: Whether it is a float32, and 9 digits are enough.
    """
    if math.isfinite(value):
        text = f"{value:g}"
        if (float(np.float32(text)) if single else float(text)) != value:
            text = f"{value:.9g}" if single else f"{value:.17g}"
        return text if "." in text or "e" in text else text + ".0"
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def tensor_text(array: Array, as_bytes: bool) -> str:
    """A tensor, or a part of one, as JSON; strings as base64 objects if asked for.

    Raises:
        ServingError: Its dtype has no JSON.
    """
    if array.ndim:
        return f"[{', '.join(list_text(array, as_bytes))}]"
    return _value_text(array.item(), array.dtype, as_bytes)


def list_text(array: Array, as_bytes: bool) -> list[str]:
    """The rows of a tensor as JSON; faster than one by one for the common shapes."""
    if array.ndim == 1:
        return [_value_text(value, array.dtype, as_bytes) for value in array.tolist()]
    if array.ndim == 2:
        return [f"[{', '.join(_value_text(value, array.dtype, as_bytes) for value in row)}]" for row in array.tolist()]
    return [tensor_text(row, as_bytes) for row in array]


def error_body(message: str) -> bytes:
    """``{"error": "…"}``."""
    return json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "replace")


def string_text(value: bytes | str) -> str:
    """A string as JSON."""
    return json.dumps(
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value, ensure_ascii=False
    )


def _value_text(value: Any, dtype: np.dtype[Any], as_bytes: bool) -> str:
    if dtype.kind == "f":
        return decimal(value, dtype.itemsize <= 4)
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind in "iu":
        return str(value)
    if isinstance(value, bytes | str):
        raw = value if isinstance(value, bytes) else to_bytes(value)
        return f'{{"{BASE64}": "{base64.b64encode(raw).decode()}"}}' if as_bytes else string_text(raw)
    raise invalid(f"Failed to write JSON value for tensor type: {dtype}")
