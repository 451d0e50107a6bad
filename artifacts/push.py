"""Blessings and pushes, as properties of artifacts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from artifacts.names import BLESSED, PUSHED, PUSHED_DESTINATION, PUSHED_TFLITE, PUSHED_VERSION, REASON


@dataclasses.dataclass(frozen=True)
class Blessing:
    """The decision of a gate.

    Attributes:
        blessed: Whether the model passed.
        reason: Why it did not, in one line; ``None`` if it passed or the gate gives no reason.
    """

    blessed: bool
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Push:
    """A pushed version.

    Attributes:
        version: The version.
        destination: Folder of the SavedModel, or resource name of the endpoint.
        tflite: The TFLite file; ``None`` if none was pushed.
    """

    version: str
    destination: str
    tflite: str | None


def read_blessing(properties: Mapping[str, Any]) -> Blessing:
    """Reads the properties of a blessing or of a ``TfliteModel`` artifact."""
    return Blessing(bool(properties.get(BLESSED)), properties.get(REASON) or None)


def read_push(properties: Mapping[str, Any]) -> Push | None:
    """Reads the properties of a ``PushedModel`` artifact; ``None`` if nothing was pushed."""
    if not properties.get(PUSHED):
        return None
    return Push(
        version=str(properties.get(PUSHED_VERSION, "")),
        destination=str(properties.get(PUSHED_DESTINATION, "")),
        tflite=properties.get(PUSHED_TFLITE) or None,
    )
