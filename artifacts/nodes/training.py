"""The training of a model: its record, its history and its hyperparameters, as the Trainer writes them."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artifacts.files import read_object, to_record
from artifacts.names import HISTORY_FILE, HYPERPARAMETERS_FILE, TRAINING_FILE

STEP, LOSS, VALIDATION = "step", "loss", "val_"


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """How a model was trained. Its fields are those of ``training.json``.

    Attributes:
        strategy: The distribution strategy: ``training.strategy``, or the one that ``auto`` chose.
        workers: Number of processes that took steps.
        replicas: Number of replicas that shared each batch.
        steps: Steps taken.
        steps_per_second: Training speed, without the first checkpoint interval, in which TensorFlow traces. This and
            ``input_wait`` are ``None`` if there was only one interval.
        input_wait: Fraction of that time spent waiting for rows.
        logs: Folder of the TensorBoard logs.
    """

    strategy: str
    workers: int
    replicas: int
    steps: int
    steps_per_second: float | None
    input_wait: float | None
    logs: str

    def to_json(self) -> str:
        """Returns the content of :data:`artifacts.names.TRAINING_FILE`."""
        return json.dumps(dataclasses.asdict(self), indent=2)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A metric over the training steps.

    Attributes:
        name: The metric.
        steps: Steps taken at each evaluation.
        train: The metric over the training batches since the previous evaluation, or NaN where there is none.
        validation: The metric on the validation split, or NaN where there is none.
    """

    name: str
    steps: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]


def read_training(folder: Path) -> TrainingRecord | None:
    """Reads ``training.json`` of a ``ModelRun`` artifact, or ``None`` if an earlier version of this project wrote none.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a training record.
    """
    path = folder / TRAINING_FILE
    return to_record(TrainingRecord, read_object(path), path) if path.exists() else None


def read_hyperparameters(folder: Path) -> dict[str, Any]:
    """Reads the hyperparameters of a ``ModelRun`` artifact.

    Raises:
        OSError: They cannot be read.
        ValueError: The file does not hold a JSON object.
    """
    return read_object(folder / HYPERPARAMETERS_FILE)


def read_history(folder: Path) -> tuple[Curve, ...]:
    """Reads the history of a ``ModelRun`` artifact, one curve per metric.

    Raises:
        OSError: It cannot be read.
        ValueError: A cell is not a number.
    """
    with (folder / HISTORY_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys(name.removeprefix(VALIDATION) for name in (rows[0] if rows else {}) if name != STEP))
    steps = tuple(int(float(row.get(STEP, ""))) for row in rows)

    def column(name: str) -> tuple[float, ...]:
        return tuple(float(row.get(name) or math.nan) for row in rows)

    return tuple(Curve(name, steps, column(name), column(VALIDATION + name)) for name in names)


def format_history(rows: Sequence[Mapping[str, float]]) -> str:
    """Returns the content of :data:`artifacts.names.HISTORY_FILE`: one row per evaluation.

    >>> format_history([{"step": 10, "loss": 0.5, "val_loss": 0.25}]).splitlines()
    ['step,loss,val_loss', '10,0.5,0.25']
    """
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def best_step(curves: Sequence[Curve]) -> int | None:
    """Returns the step with the lowest validation loss, whose weights the model keeps.

    >>> best_step([Curve("loss", (10, 20, 30), (0.9, 0.8, 0.7), (0.5, 0.4, 0.6))])
    20
    """
    losses = [
        (loss, step)
        for curve in curves
        if curve.name == LOSS
        for step, loss in zip(curve.steps, curve.validation, strict=True)
        if math.isfinite(loss)
    ]
    return min(losses)[1] if losses else None
