"""Reads JSON files into records, and prepares values for JSON.

All readers of this package raise the same errors: :class:`OSError` if a file is missing or not on a local disk, and
:class:`ValueError` if it is damaged.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
# Errors that readers raise. Callers that can do without the file suppress them.
UNREADABLE = (OSError, ValueError)


def read_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Raises:
        OSError: The file cannot be read.
        ValueError: It does not hold a JSON object.
    """
    return _read(path, dict)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Reads a file that holds a list of JSON objects.

    Raises:
        OSError: The file cannot be read.
        ValueError: It does not hold a list of JSON objects.
    """
    found = _read(path, list)
    if not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{path}: found values that are not JSON objects; expected a list of JSON objects")
    return found


def to_record(kind: type[T], values: Mapping[str, Any], path: Path) -> T:
    """Creates a dataclass instance from a JSON object. Keys that are not fields are ignored.

    Raises:
        ValueError: A field without a default is missing, or the values are not a JSON object.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: found {values!r}; expected a JSON object with the fields of {kind.__name__}")
    fields = [field for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    try:
        return kind(**{field.name: values[field.name] for field in fields if field.name in values})
    except TypeError:
        required = [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        missing = ", ".join(name for name in required if name not in values)
        raise ValueError(f"{path}: found no {missing}; expected {', '.join(required)}") from None


def finite(value: Any) -> Any:
    """A value as JSON can represent it, with ``None`` in place of NaN and infinite numbers.

    >>> finite({"auc": float("nan"), "rows": (1, 2.5)})
    {'auc': None, 'rows': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(path: Path, kind: type[T]) -> T:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}; expected JSON") from error
    if not isinstance(found, kind):
        raise ValueError(f"{path}: found a JSON {type(found).__name__}; expected a {kind.__name__}")
    return found
