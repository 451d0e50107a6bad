"""Turns a failed check of the settings into one line."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.renamed import RENAMED

MOST_NAMES, NEAREST = 60, 10  # of more names a line shows those that are nearest


class UserError(ValueError):
    """Something the user has to mend; the message is one line, whatever it quotes."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


class ConfigError(UserError):
    """Settings that cannot be used."""


def unknown_name(key: str, what: str, found: str, known: Iterable[str]) -> str:
    """One line for a name that does not exist, with the nearest that does."""
    known = sorted(known)
    nearest = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    shown = known if len(known) <= MOST_NAMES else difflib.get_close_matches(found, known, n=NEAREST, cutoff=0.0)
    more = f" (and {len(known) - len(shown)} others)" if len(shown) < len(known) else ""
    return f"{key}: unknown {what} '{found}'; allowed: {', '.join(shown) or 'none'}{more}{hint}"


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
    keys = [_key(record, detail["loc"], prefix) for detail in details]
    key = _key(record, first["loc"], prefix)
    # A value that may be of several types fails once for each.
    same = [detail for detail, other in zip(details, keys, strict=True) if other == key]
    others = len(set(keys)) - 1
    return _line(key, same, record) + (f" (and {others} more)" if others else "")


def _key(record: type, location: tuple[str | int, ...], prefix: str) -> str:
    parts, _ = _resolve(record, location)
    return ".".join([prefix, *parts] if prefix else parts)


def _line(key: str, details: list[ErrorDetails], record: type) -> str:
    """One line for all that was found at one key."""
    detail = details[0]
    found = detail["input"]
    match detail["type"]:
        case "unexpected_keyword_argument":
            return _unknown_key(key, detail["loc"], record)
        case "missing" | "missing_keyword_only_argument":
            return f"{key}: missing; expected a value, as configs/taxi.yaml shows"
        case "value_error":
            reason = detail["msg"].removeprefix("Value error, ")
            return f"{key}: {reason}" if key else reason
        case "literal_error":
            known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
            return unknown_name(key, "value", str(found), known)
        case "string_pattern_mismatch":
            return f"{key}: found {_shown(found)}; expected text that matches {detail['ctx']['pattern']}"
    expected = " or ".join(dict.fromkeys(_expected(each) for each in details))
    return f"{key}: found {_shown(found)}; expected {expected}"


def _unknown_key(key: str, location: tuple[str | int, ...], record: type) -> str:
    if key in RENAMED:
        return f"{key}: renamed; use {RENAMED[key]}"
    _, owner = _resolve(record, location)
    known = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    return unknown_name(key, "key", str(location[-1]), known)


def _expected(detail: ErrorDetails) -> str:
    text = detail["msg"].removeprefix("Input should be ").replace("an object", "a mapping of keys")
    return text.replace("Tuple should have", "a list with").replace(" after validation, not 0", "")


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
