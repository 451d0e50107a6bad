"""Describes an anomaly, and defines the error that lists all of them."""

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """A way in which a split does not conform to the schema.

    Attributes:
        split: Name of the split.
        feature: Column, or ``(all)`` for the complete table.
        found: What was found.
        allowed: What the schema allows.
    """

    split: str
    feature: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.feature} ({self.split}): found: {self.found}; the schema allows: {self.allowed}"


class DataAnomaliesError(ValueError):
    """The examples do not conform to the schema.

    Attributes:
        anomalies: All anomalies.
    """

    def __init__(self, anomalies: Iterable[Anomaly]) -> None:
        self.anomalies = tuple(anomalies)
        features = ", ".join(sorted({anomaly.feature for anomaly in self.anomalies}))
        super().__init__(f"the data does not conform to the curated schema in: {features}")
