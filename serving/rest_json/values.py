"""JSON as TensorFlow Serving reads and writes it: with NaN and Infinity as tokens, and bytes as base64 objects."""

import base64
import binascii
import json
from typing import Any, TypeAlias

from pydantic_core import from_json

from serving.errors import invalid_argument

Json: TypeAlias = Any
BASE64 = "b64"
SIGNATURE_NAME = "signature_name"
MAX_EXCERPT = 1000  # characters of a value in an error message
_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(ensure_ascii=False)
# The messages of TensorFlow Serving's JSON parser, by the start of those of Python's.
_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string": "Missing a closing quotation mark in string.",
    "Invalid control character": "Invalid encoding in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid \\escape": "Invalid escape character in string.",
}
_MISSING_COMMA = {
    True: "Missing a comma or ] after an array element.",
    False: "Missing a comma or } after an object member.",
}
_BLANK, _BYTE_ORDER_MARK = " \t\r\n", "\ufeff"
_TYPES: dict[type, str] = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


def parse_object(body: bytes) -> dict[str, Json]:
    """Parses the JSON object at the start of a body. Anything after it is ignored.

    >>> parse_object(b'{"instances": [1.0, NaN]} and more')
    {'instances': [1.0, nan]}

    Raises:
        ServingError: The body does not start with a JSON object, or its signature name is not a string.
    """
    if not body or body.isspace():
        raise invalid_argument("JSON Parse error: The document is empty")
    value = _parse(body)
    if not isinstance(value, dict):
        raise invalid_argument(f"JSON Value: {excerpt(value)} Is not object")
    if not isinstance(value.get(SIGNATURE_NAME, ""), str):
        raise invalid_argument(
            f"JSON Value: {excerpt(value)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return value


def type_name(value: Json) -> str:
    """Returns ``Null``, ``True``, ``False``, ``Number``, ``String``, ``Array`` or ``Object``.

    >>> [type_name(value) for value in (None, True, 1.5, "a", [1], {})]
    ['Null', 'True', 'Number', 'String', 'Array', 'Object']
    """
    return str(value) if isinstance(value, bool) else _TYPES[type(value)]


def excerpt(value: Json) -> str:
    """Returns a value as JSON for an error message, truncated to 1,000 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + "..."


def is_base64(value: Json) -> bool:
    """Returns whether a value is an object with the single key ``b64`` and a string value."""
    return isinstance(value, dict) and list(value) == [BASE64] and isinstance(value[BASE64], str)


def from_base64(value: Json) -> bytes:
    r"""Decodes a base64 object.

    >>> from_base64({"b64": "/wA="})
    b'\xff\x00'

    Raises:
        ServingError: The value is not a valid base64 object.
    """
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {excerpt(value)} not formatted correctly for base64 data")
    text = "".join(value[BASE64].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def to_bytes(text: str) -> bytes:
    """Returns the original bytes of a string in the body, even if they are not valid UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def error_body(message: str) -> bytes:
    r"""Returns the body of an error response.

    >>> error_body('found "x"')
    b'{"error": "found \\"x\\""}'
    """
    return json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "replace")


def string_text(value: bytes | str) -> str:
    """Returns a string as JSON."""
    return _ENCODER.encode(value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value)


def _parse(body: bytes) -> Json:
    """Parses a body with a fast, strict parser first, which is sufficient for nearly all of them."""
    try:
        return from_json(body, cache_strings="keys")
    except ValueError as error:
        return _parse_leniently(body, str(error))


def _parse_leniently(body: bytes, strict_error: str) -> Json:
    try:
        text = body.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK)
        start = len(text) - len(text.lstrip(_BLANK))
        value, _ = _DECODER.raw_decode(text, start)
        if "\\u" in text:
            to_bytes(json.dumps(value, ensure_ascii=False))  # raises for a lone surrogate
    except json.JSONDecodeError as error:
        offset = len(to_bytes(text[: error.pos]))
        raise invalid_argument(f"JSON Parse error: {_parse_error(error, strict_error)} at offset: {offset}") from error
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: Nested too deeply at offset: 0") from error
    except UnicodeEncodeError as error:
        raise invalid_argument("JSON Parse error: The surrogate pair in string is invalid. at offset: 0") from error
    except ValueError as error:  # a number with thousands of digits
        raise invalid_argument("JSON Parse error: Number too big to be stored in double. at offset: 0") from error
    return value


def _parse_error(error: json.JSONDecodeError, strict_error: str) -> str:
    """Returns TensorFlow Serving's message. Only the strict parser's error tells a list from an object."""
    in_list = "]" in strict_error or "list" in strict_error
    known = (text for start, text in _PARSE_ERRORS.items() if error.msg.startswith(start))
    return next(known, _MISSING_COMMA[in_list])
