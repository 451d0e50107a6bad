"""The decision of a gate, as properties of a blessing."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from artifacts.names import BLESSED, REASON


@dataclasses.dataclass(frozen=True)
class Blessing:
    """The decision of a gate.

    Attributes:
        blessed: Whether the model passed.
        reason: Why the model did not pass, in one line. ``None`` if it passed or the gate gave no reason.
    """

    blessed: bool
    reason: str | None


def read_blessing(properties: Mapping[str, Any]) -> Blessing:
    """Reads the properties of a blessing or of a ``TfliteModel`` artifact.

    >>> read_blessing({"blessed": 0, "reason": "loss is 3"})
    Blessing(blessed=False, reason='loss is 3')
    """
    return Blessing(bool(properties.get(BLESSED)), properties.get(REASON) or None)
