"""Describes a pydantic error in one line, with the dotted key of the setting."""

import dataclasses
import re
import types
import typing

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common.dotted_keys import join_key
from pipeline.config.errors import unknown_name
from pipeline.config.renamed import RENAMED

MAX_VALUE = 60  # characters of a value that are shown


def describe(error: ValidationError, record: type, prefix: str = "") -> str:
    """Returns one line for the first error, and the number of others.

    Args:
        error: The pydantic error.
        record: The dataclass that could not be built.
        prefix: Dotted key of ``record`` in the settings.
    """
    details = error.errors()
    # An unknown key is often the reason why another one is missing, so it comes first.
    first = min(details, key=lambda detail: detail["type"] != "unexpected_keyword_argument")
    keys = [_key(record, detail["loc"], prefix) for detail in details]
    key = _key(record, first["loc"], prefix)
    # A value of a union type fails once per type.
    same_key = [detail for detail, other in zip(details, keys, strict=True) if other == key]
    others = len(set(keys)) - 1
    return _line(key, same_key, record) + (f" (and {others} more)" if others else "")


def _key(record: type, location: tuple[str | int, ...], prefix: str) -> str:
    parts, _ = _resolve(record, location)
    return f"{prefix}.{join_key(parts)}" if prefix and parts else prefix or join_key(parts)


def _line(key: str, details: list[ErrorDetails], record: type) -> str:
    """Returns one line for all errors at one key."""
    detail = details[0]
    found = detail["input"]
    match detail["type"]:
        case "unexpected_keyword_argument":
            return _unknown_key(key, detail["loc"], record)
        case "missing" | "missing_keyword_only_argument":
            return f"{key}: missing; expected a value, as in configs/taxi.yaml"
        case "value_error":
            reason = detail["msg"].removeprefix("Value error, ")
            return f"{key}: {reason}" if key else reason
        case "literal_error":
            known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
            return unknown_name(key, "value", str(found), known)
        case "string_pattern_mismatch":
            return f"{key}: found {_shown(found)}; expected text that matches {detail['ctx']['pattern']}"
    expected = " or ".join(dict.fromkeys(_expected(each) for each in details))
    is_unquoted = detail["type"] == "string_type" and isinstance(found, int | float)  # also true and false
    return f"{key}: found {_shown(found)}; expected {expected}{': write it in quotes' if is_unquoted else ''}"


def _unknown_key(key: str, location: tuple[str | int, ...], record: type) -> str:
    if key in RENAMED:
        return f"{key}: renamed; use {RENAMED[key]}"
    _, owner = _resolve(record, location)
    known = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    return unknown_name(key, "key", str(location[-1]), known)


def _expected(detail: ErrorDetails) -> str:
    text = detail["msg"].removeprefix("Input should be ").replace("an object", "a mapping of keys")
    text = text.replace("Tuple should have", "a list with").replace(" after validation, not 0", "")
    return text.replace("String should have", "text of")


def _resolve(record: type, location: tuple[str | int, ...]) -> tuple[list[str], object]:
    """Returns the dotted key of a pydantic location, and the type that owns its last part.

    Pydantic's locations also name the branch of a union that was tried. Those parts are dropped.
    """
    keys: list[str] = []
    here: object = record
    owner: object = record
    for part in location:
        here = _without_none(here)
        inner = typing.get_args(here)
        if dataclasses.is_dataclass(here) and isinstance(here, type):
            owner = here
            here = typing.get_type_hints(here).get(str(part))
        elif typing.get_origin(here) is dict:
            owner, here = here, inner[1]
        elif typing.get_origin(here) is tuple:
            owner, here = here, inner[0]
        else:
            continue
        if part != "[key]":
            keys.append(str(part))
    return keys, owner


def _without_none(annotation: object) -> object:
    """Returns ``X`` for ``X | None``."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        rest = [option for option in typing.get_args(annotation) if option is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + '...'} ({type(value).__name__})"
