"""The result of SkewGuard's checks."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Skew:
    """The first difference between serving and training.

    Attributes:
        check: ``graph``, ``vocabulary``, ``transformed``, ``predictions`` or ``server``.
        where: Signature, file or process.
        feature: Transformed feature or output, if any.
        example: Index of the raw example in the split, if any.
        expected: The training side's value, as a string.
        found: The serving side's value, as a string.
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
        skew: The difference.
    """

    def __init__(self, skew: Skew) -> None:
        super().__init__(str(skew))
        self.skew = skew


@dataclasses.dataclass(frozen=True)
class Report:
    """Results of all checks.

    Attributes:
        examples: Number of raw examples replayed.
        compared: Number of values compared, by signature.
        largest_difference: Largest difference between a served and a training-side prediction.
        graph: Digest of the Transform graph's function and constants.
        vocabularies: Digests of the vocabulary files, by name.
        server: Time to load and to answer, and peak memory, of a new process.
        skew: The first difference, or ``None``.
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
