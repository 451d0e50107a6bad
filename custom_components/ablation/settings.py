"""Settings of an ablation."""

import dataclasses
import json
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class AblationSettings:
    """What to leave out, and how to measure.

    Attributes:
        columns: The columns to leave out, one at a time.
        groups: Groups of columns by name, to leave out together.
        repeats: Number of seeds per training.
        margin: Differences up to this fraction of the gain over the trivial model count as nothing.
        metrics: Metrics by preference. The first that can be measured is used.
        is_weighted: Whether rows count by the column of their weights.
    """

    columns: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    repeats: int
    margin: float
    metrics: Sequence[str]
    is_weighted: bool = False

    def to_json(self) -> str:
        """Returns the record as JSON, for a property of the node."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "AblationSettings":
        """Reads a record that :meth:`to_json` returned."""
        return cls(**json.loads(text))
