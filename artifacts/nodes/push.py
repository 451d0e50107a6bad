"""A pushed version, as properties of a ``PushedModel`` artifact."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from artifacts.names import PUSHED, PUSHED_DESTINATION, PUSHED_TFLITE, PUSHED_VERSION

_VERSION = re.compile("[0-9]{1,30}")
_MAX_VERSION = 2**63 - 1


def is_version(name: str) -> bool:
    """Returns whether a model server takes a folder of this name for a version: an integer of 64 bits.

    >>> is_version("1795339345"), is_version("\N{SUPERSCRIPT TWO}"), is_version("9" * 19), is_version(".pushing-7")
    (True, False, False, False)
    """
    return _VERSION.fullmatch(name) is not None and int(name) <= _MAX_VERSION


@dataclasses.dataclass(frozen=True)
class Push:
    """A pushed version.

    Attributes:
        version: The version.
        destination: Folder of the SavedModel, or resource name of the endpoint.
        tflite: The TFLite file, or ``None`` if none was pushed.
    """

    version: str
    destination: str
    tflite: str | None


def read_push(properties: Mapping[str, Any]) -> Push | None:
    """Reads the properties of a ``PushedModel`` artifact, or ``None`` if nothing was pushed.

    >>> read_push({"pushed": 1, "pushed_version": "7", "pushed_destination": "/serving/taxi/7"})
    Push(version='7', destination='/serving/taxi/7', tflite=None)
    """
    if not properties.get(PUSHED):
        return None
    return Push(
        version=str(properties.get(PUSHED_VERSION, "")),
        destination=str(properties.get(PUSHED_DESTINATION, "")),
        tflite=properties.get(PUSHED_TFLITE) or None,
    )
