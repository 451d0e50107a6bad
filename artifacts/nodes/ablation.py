"""The report of Ablation: what each column is worth."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from artifacts.files import finite, read_object, to_record
from artifacts.names import REPORT_FILE

Kind = Literal["column", "declared", "correlated"]
Verdict = Literal["leak", "useful", "redundant", "noise", "harmful", "unclear"]
# As people read them, in the order of how much they matter.
VERDICTS: Mapping[Verdict, str] = {
    "leak": "too good to be true",
    "harmful": "better without it",
    "useful": "useful",
    "redundant": "redundant",
    "noise": "noise",
    "unclear": "unclear",
}


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A difference of metrics with its 95% interval.

    Attributes:
        value: The mean over the seeds.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Worth:
    """What a column or a group of columns is worth.

    Attributes:
        name: Name of the column or the group.
        kind: ``column``, or where a group comes from: ``declared`` or ``correlated``.
        columns: The columns that are left out together.
        worth: How much better the metric is with all columns than without these. Positive is better for every metric.
        alone: How much better the metric is with these columns alone than that of the trivial model, or ``None`` if no
            feature is computed from them alone.
        metric: The metric without these columns, the mean over the seeds.
        verdict: One of :data:`VERDICTS`.
        reason: The numbers behind the verdict, in one line.
        partner: The column that is most associated with this one, or ``None`` for a group or if none is close.
        association: How strongly, from 0 to 1.
    """

    name: str
    kind: Kind
    columns: Sequence[str]
    worth: Estimate
    alone: Estimate | None
    metric: float
    verdict: Verdict
    reason: str
    partner: str | None = None
    association: float | None = None

    @property
    def said(self) -> str:
        """The verdict as people read it."""
        return VERDICTS[self.verdict]


@dataclasses.dataclass(frozen=True)
class AblationReport:
    """The result of an ablation. Its fields are those of ``report.json``.

    Attributes:
        metric: Name of the metric.
        higher_is_better: Whether it is better when larger.
        value: The metric with all columns, the mean over the seeds.
        trivial: The metric of the trivial model, a constant.
        gain: How much better the model with all columns is than the trivial model.
        margin: Differences up to this one count as nothing.
        margin_fraction: The same as a fraction of ``gain``.
        repeats: Number of seeds per training.
        trainings: Number of trainings.
        rows: Number of rows by split that were trained and measured on.
        available_rows: Number of rows of these splits.
        hyperparameters: The hyperparameters of all networks.
        worths: Columns and then groups, each in the order of their worth.
    """

    metric: str
    higher_is_better: bool
    value: float
    trivial: float
    gain: Estimate
    margin: float
    margin_fraction: float
    repeats: int
    trainings: int
    rows: Mapping[str, int]
    available_rows: Mapping[str, int]
    hyperparameters: Mapping[str, Any]
    worths: Sequence[Worth]

    def to_json(self) -> str:
        """Returns the content of the report file. Numbers that JSON cannot represent become null."""
        return json.dumps(finite(dataclasses.asdict(self)), indent=2, ensure_ascii=False, allow_nan=False)

    def having(self, verdict: Verdict) -> list[Worth]:
        """Returns what has a verdict."""
        return [each for each in self.worths if each.verdict == verdict]


def read_ablation(folder: Path) -> AblationReport:
    """Reads the report of an ``AblationReport`` artifact.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a report of Ablation.
    """
    path = folder / REPORT_FILE
    return to_ablation(read_object(path), path)


def to_ablation(values: Mapping[str, Any], path: Path) -> AblationReport:
    """Creates the record from the JSON object of a file.

    Raises:
        ValueError: It is not a report of Ablation.
    """
    worths = values.get("worths")
    if not isinstance(worths, list):
        raise ValueError(f"{path}: found no worths; expected a report of Ablation")
    nested = {"gain": _estimate(values.get("gain"), path), "worths": [_worth(each, path) for each in worths]}
    return to_record(AblationReport, {**values, **nested}, path)


def _worth(values: Any, path: Path) -> Worth:
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: found {values!r}; expected a JSON object with the fields of Worth")
    alone = values.get("alone")
    nested = {
        "worth": _estimate(values.get("worth"), path),
        "alone": None if alone is None else _estimate(alone, path),
        "metric": _number(values.get("metric")),
    }
    worth = to_record(Worth, {**values, **nested}, path)
    if worth.verdict not in VERDICTS:
        raise ValueError(f"{path}: found the verdict {worth.verdict!r}; expected one of {', '.join(VERDICTS)}")
    return worth


def _estimate(values: Any, path: Path) -> Estimate:
    found = to_record(Estimate, values, path)
    return Estimate(_number(found.value), _number(found.low), _number(found.high))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
