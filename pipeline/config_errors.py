"""Turns a failed check of the settings into one line."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails


class ConfigError(ValueError):
    """Settings that cannot be used; the message is one line for the user."""


def unknown_name(key: str, what: str, found: str, known: Iterable[str]) -> str:
    """One line for a name that does not exist, with the nearest that does."""
    known = sorted(known)
    nearest = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"{key}: unknown {what} '{found}'; allowed: {', '.join(known) or 'none'}{hint}"


def describe(error: ValidationError, record: type, prefix: str = "") -> str:
    """One line for the first failed check, and how many more there are.

    Args:
        error: What pydantic found.
        record: The dataclass that was being made.
        prefix: Dotted key at which ``record`` stands.
    """
    details = error.errors()
    # An unknown key is most often why another one is missing.
    first = min(details, key=lambda detail: detail["type"] != "unexpected_keyword_argument")
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return _line(first, record, prefix) + more


def _line(detail: ErrorDetails, record: type, prefix: str) -> str:
    location, owner = _resolve(record, detail["loc"])
    key = ".".join([prefix, *location] if prefix else location)
    found = detail["input"]
    match detail["type"]:
        case "unexpected_keyword_argument":
            known = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
            return unknown_name(key, "key", location[-1], known)
        case "missing" | "missing_keyword_only_argument":
            return f"{key}: missing; expected a value, as configs/taxi.yaml shows"
        case "value_error":
            reason = detail["msg"].removeprefix("Value error, ")
            return f"{key}: {reason}" if key else reason
        case "literal_error":
            known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
            return unknown_name(key, "value", str(found), known)
    if detail["type"] == "string_pattern_mismatch":
        return f"{key}: found {_shown(found)}; expected text that matches {detail['ctx']['pattern']}"
    expected = detail["msg"].removeprefix("Input should be ").replace("an object", "a mapping of keys")
    return f"{key}: found {_shown(found)}; expected {expected}"


def _resolve(record: type, location: tuple[str | int, ...]) -> tuple[list[str], object]:
    """The dotted key of pydantic's location, and the type that owns its last part.

    Pydantic's locations also name the branch of a union that was tried; those parts are no keys and are left out.
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
    """``X`` for ``X | None``."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        rest = [option for option in typing.get_args(annotation) if option is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
