"""The training of a run's model: curves, speed and hyperparameters."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from artifacts.names import HISTORY_FILE
from artifacts.nodes.training import Curve, TrainingRecord, best_step, read_history, read_hyperparameters, read_training
from reports.drawing import charts
from reports.section import Section
from reports.source import MissingError, Source

MAX_CURVES = 6


@dataclasses.dataclass(frozen=True)
class Training:
    """How the model was trained.

    Attributes:
        curves: One curve per metric, the loss first.
        hyperparameters: The hyperparameters.
        record: Strategy and speed, or ``None`` for a run of an earlier version of this project.
    """

    curves: tuple[Curve, ...]
    hyperparameters: Mapping[str, Any]
    record: TrainingRecord | None

    @property
    def best_step(self) -> int | None:
        """The step with the lowest validation loss, whose weights the model keeps."""
        return best_step(self.curves)


def read(source: Source) -> Training:
    """Reads how a run's model was trained.

    Raises:
        MissingError: The Trainer did not finish, or its files no longer exist.
    """
    folder = source.path("Trainer", "model_run")
    if not (folder / HISTORY_FILE).exists():
        raise MissingError(f"the Trainer wrote no {HISTORY_FILE}")
    return Training(read_history(folder), read_hyperparameters(folder), read_training(folder))


def draw(training: Training) -> Sequence[Markup]:
    """Draws the first few curves."""
    best = training.best_step
    shown = training.curves[:MAX_CURVES] if best is not None else ()
    return [charts.training_curve(each, best, f"t{number}") for number, each in enumerate(shown)]


SECTION = Section("training", "Training", read, absent="No curves", draw=draw)
