"""The report of SkewGuard."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from artifacts.files import read_object, to_record
from artifacts.names import REPORT_FILE


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


@dataclasses.dataclass(frozen=True)
class SkewReport:
    """The comparison of serving with training. Its fields are those of ``report.json``.

    Attributes:
        examples: Number of raw examples replayed.
        compared: Number of values compared by signature.
        largest_difference: Maximum difference between a served prediction and that of the training side.
        graph: Digest of the Transform graph's function and constants.
        vocabularies: Digests of the vocabulary files, by name.
        server: ``load_seconds``, ``first_answer_seconds`` and ``peak_megabytes`` of a new process.
        skew: The first difference, or ``None`` if there is none.
    """

    examples: int = 0
    compared: Mapping[str, int] = dataclasses.field(default_factory=dict)
    largest_difference: float = 0.0
    graph: str = ""
    vocabularies: Mapping[str, str] = dataclasses.field(default_factory=dict)
    server: Mapping[str, float] = dataclasses.field(default_factory=dict)
    skew: Skew | None = None

    def to_json(self) -> str:
        """Returns the content of the report file."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def read_skew_report(folder: Path) -> SkewReport:
    """Reads the report of a ``SkewReport`` artifact.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a report of SkewGuard.
    """
    path = folder / REPORT_FILE
    report = to_record(SkewReport, read_object(path), path)
    skew = to_record(Skew, report.skew, path) if isinstance(report.skew, Mapping) else None
    return dataclasses.replace(report, skew=skew)
