"""The trials of a hyperparameter search, as the Tuner writes them."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artifacts.files import read_objects
from artifacts.names import TRIALS_FILE

_ID, _SCORE = "trial_id", "score"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        id: Id of the trial.
        score: The lowest validation loss, or ``None`` if the trial failed.
        hyperparameters: Hyperparameters of the trial.
    """

    id: str
    score: float | None
    hyperparameters: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Returns the trial as one flat row, with the keys of the file."""
        return {_ID: self.id, _SCORE: self.score, **self.hyperparameters}


def read_trials(folder: Path) -> tuple[Trial, ...]:
    """Reads the trials of a ``TunerResults`` artifact, best first.

    Raises:
        OSError: They cannot be read.
        ValueError: The file does not hold trials.
    """
    trials = [_trial(each) for each in read_objects(folder / TRIALS_FILE)]
    return tuple(sorted(trials, key=lambda each: (each.score is None, each.score or 0.0)))


def _trial(values: Mapping[str, Any]) -> Trial:
    score = values.get(_SCORE)
    return Trial(
        id=str(values.get(_ID, "")),
        score=float(score) if isinstance(score, int | float) and math.isfinite(score) else None,
        hyperparameters={name: value for name, value in values.items() if name not in (_ID, _SCORE)},
    )
