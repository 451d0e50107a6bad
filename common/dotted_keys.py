r"""Dotted keys of settings, such as ``training.steps``.

A part that contains a dot is quoted like a JSON string: ``features.dense."trip.miles".log``.
"""

import json
import re
from collections.abc import Iterable

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PART = re.compile(rf"(?:({_QUOTED})|([^.]*))(?:\.|\Z)", re.DOTALL)
_KEY_PART = rf"(?:{_QUOTED}(?=[.=]|\Z)|[^.=]*)"
_KEY = re.compile(rf"{_KEY_PART}(?:\.{_KEY_PART})*", re.DOTALL)


def join_key(parts: Iterable[str]) -> str:
    """Joins the parts of a key.

    >>> join_key(["features", "dense", "fare", "log"]), join_key(["features", "dense", "trip.miles"])
    ('features.dense.fare.log', 'features.dense."trip.miles"')
    """
    return ".".join(map(_quoted, parts))


def split_key(key: str) -> list[str]:
    """Splits a key into its parts.

    >>> split_key('features.dense."trip.miles".log')
    ['features', 'dense', 'trip.miles', 'log']

    Raises:
        ValueError: A quoted part has an invalid escape.
    """
    parts: list[str] = []
    rest: str | None = key
    while rest is not None:
        found = _PART.match(rest)
        assert found  # the pattern matches any text
        parts.append(json.loads(found[1], strict=False) if found[1] else found[2])
        rest = rest[found.end() :] if found[0].endswith(".") else None
    return parts


def split_assignment(text: str) -> tuple[str, str] | None:
    """Splits ``KEY=VALUE`` at the first equals sign outside of quotes, or returns ``None`` if there is none.

    >>> split_assignment('features.dense."a=b".log=true')
    ('features.dense."a=b".log', 'true')
    """
    found = _KEY.match(text)
    assert found  # the pattern matches any text
    return (found[0], text[found.end() + 1 :]) if found.end() < len(text) else None


def _quoted(part: str) -> str:
    is_plain = part and not re.search(r"[.=\x00-\x1f]", part) and not part.startswith('"')
    return part if is_plain else json.dumps(part, ensure_ascii=False)
