"""Writes YAML as a person would: short, with a comment for each choice."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH = 110
MAX_COMMENT = 90
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_SPECIAL = re.compile(r"true|false|null|yes|no|on|off|y|n|nan|inf", re.I)


def scalar(value: object) -> str:
    """A value as YAML 1.2, quoted where other YAML parsers could read it as something else.

    >>> print(scalar("Zürich"), scalar("No"), scalar("12"), scalar(12), scalar(True), scalar(None))
    "Zürich" "No" "12" 12 true null
    """
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value)
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    return json.dumps(value)


def commented(line: str, comment: str = "", column: int = 40) -> str:
    """A line with a comment, which starts at a column if the line is shorter.

    >>> commented("steps: 600", "at most", 12)
    'steps: 600   # at most'
    """
    text = one_line(comment)
    return f"{line:<{column}} # {text}" if text else line


def one_line(text: str) -> str:
    """A text as a comment: without line ends and control characters, and not too long."""
    clean = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return clean if len(clean) <= MAX_COMMENT else clean[: MAX_COMMENT - 1] + "…"


def block(values: Mapping[str, Any], indent: int = 2) -> Iterable[str]:
    """Yields a line for each key."""
    for key, value in values.items():
        yield " " * indent + f"{scalar(key)}: {scalar(value)}"
