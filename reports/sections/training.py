"""How a run's model was trained, and what its search tried."""

import csv
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from artifacts.names import HYPERPARAMETERS_FILE, TRIALS_FILE
from reports.source import MissingError, Source

HISTORY_FILE, TRAINING_FILE = "history.csv", "training.json"
VALIDATION = "val_"
STEP = "step"
# Keys of a trial that are no hyperparameter.
TRIAL, SCORE = "trial_id", "score"


@dataclasses.dataclass(frozen=True)
class Curve:
    """A metric over the steps.

    Attributes:
        name: The metric.
        steps: Steps taken at each evaluation.
        train: The metric over the training batches since the last one; NaN where there is none.
        validation: The metric on the validation split.
    """

    name: str
    steps: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Training:
    """How the model was trained.

    Attributes:
        curves: A metric each, the loss first.
        hyperparameters: Those it was trained with.
        facts: How the training was spread and how fast it was; empty for a run of an earlier version of this project.
    """

    curves: tuple[Curve, ...]
    hyperparameters: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def kept_step(self) -> int | None:
        """The step with the least validation loss, whose weights are kept."""
        losses = [each for each in self.curves if each.name == "loss"]
        pairs = [
            (loss, step)
            for each in losses
            for step, loss in zip(each.steps, each.validation, strict=True)
            if math.isfinite(loss)
        ]
        return min(pairs)[1] if pairs else None


@dataclasses.dataclass(frozen=True)
class Trial:
    """One try of the search.

    Attributes:
        name: Its id.
        score: Validation loss; ``None`` for a trial that came to none.
        values: Its hyperparameters.
    """

    name: str
    score: float | None
    values: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Search:
    """What the Tuner tried.

    Attributes:
        trials: Best first.
        names: The hyperparameters that were searched.
    """

    trials: tuple[Trial, ...]
    names: tuple[str, ...]


def read_training(source: Source) -> Training:
    """The training of a run.

    Raises:
        MissingError: The Trainer did not finish, or its files are gone.
    """
    folder = source.path("Trainer", "model_run")
    history, facts = folder / HISTORY_FILE, folder / TRAINING_FILE
    if not history.exists():
        raise MissingError(f"the Trainer wrote no {HISTORY_FILE}")
    with history.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Training(
        curves=_curves(rows),
        hyperparameters=json.loads((folder / HYPERPARAMETERS_FILE).read_text(encoding="utf-8")),
        facts=json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {},
    )


def read_search(source: Source) -> Search:
    """The trials of a run.

    Raises:
        MissingError: The Tuner did not finish, or its files are gone.
    """
    found = json.loads((source.path("Tuner", "tuner_results") / TRIALS_FILE).read_text(encoding="utf-8"))
    trials = [Trial(str(each.pop(TRIAL, "")), _finite(each.pop(SCORE, None)), each) for each in found]
    trials.sort(key=lambda each: (each.score is None, each.score or 0.0))
    return Search(tuple(trials), tuple(dict.fromkeys(name for each in trials for name in each.values)))


def _curves(rows: list[dict[str, str]]) -> tuple[Curve, ...]:
    names = list(dict.fromkeys(name.removeprefix(VALIDATION) for name in (rows[0] if rows else {}) if name != STEP))
    steps = tuple(int(float(row[STEP])) for row in rows)

    def column(name: str) -> tuple[float, ...]:
        return tuple(float(row.get(name) or math.nan) for row in rows)

    return tuple(Curve(name, steps, column(name), column(VALIDATION + name)) for name in names)


def _finite(score: Any) -> float | None:
    return float(score) if isinstance(score, int | float) and math.isfinite(score) else None
