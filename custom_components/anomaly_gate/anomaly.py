"""An anomaly as a user reads it, and the error that carries them."""

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """One way in which a split does not meet the schema.

    Attributes:
        split: Name of the split.
        feature: Column, or ``(all)`` for the table as a whole.
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
    """The examples do not meet the schema.

    Attributes:
        anomalies: Each anomaly found.
    """

    def __init__(self, anomalies: Iterable[Anomaly]) -> None:
        self.anomalies = tuple(anomalies)
        features = ", ".join(sorted({anomaly.feature for anomaly in self.anomalies}))
        super().__init__(f"the data does not meet the curated schema in: {features}")
