"""What the skew guard found."""

import dataclasses
from typing import Any

REPORT_FILE = "report.json"


@dataclasses.dataclass(frozen=True)
class Skew:
    """The first place at which serving differs from training.

    Attributes:
        check: ``graph``, ``vocabulary``, ``transformed``, ``predictions`` or ``server``.
        where: Signature, file or function.
        feature: Transformed feature or output, where there is one.
        example: Index of the raw example in the eval split, where there is one.
        expected: The training side's value, as text.
        found: The serving side's value, as text.
    """

    check: str
    where: str
    feature: str | None = None
    example: int | None = None
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        place = f"{self.where}, {self.feature}" if self.feature else self.where
        row = f" of example {self.example}" if self.example is not None else ""
        return f"{self.check} differs in {place}{row}: training has {self.expected}, serving has {self.found}"


class SkewError(Exception):
    """Serving differs from training.

    Attributes:
        skew: Where.
    """

    def __init__(self, skew: Skew) -> None:
        super().__init__(str(skew))
        self.skew = skew


@dataclasses.dataclass(frozen=True)
class Report:
    """All that was compared.

    Attributes:
        examples: Raw examples replayed.
        compared: Values compared, by signature.
        largest_difference: Of any prediction from the training side's.
        graph: Digest of the Transform graph's function.
        vocabularies: Digest by file name.
        server: Seconds to load and to answer, and peak memory, of a fresh process.
        skew: The first difference; ``None`` if there is none.
    """

    examples: int = 0
    compared: dict[str, int] = dataclasses.field(default_factory=dict)
    largest_difference: float = 0.0
    graph: str = ""
    vocabularies: dict[str, str] = dataclasses.field(default_factory=dict)
    server: dict[str, float] = dataclasses.field(default_factory=dict)
    skew: Skew | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return dataclasses.asdict(self)
