"""What happens between steps: the validation split is looked at, training may stop, and what it has come to is kept."""

import csv
import dataclasses
import io
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models.job import HISTORY_FILE, STATE_FILE, Job
from models.progress import report
from models.settings import Training
from models.steps import Steps

Array: TypeAlias = np.ndarray[Any, Any]
LOSS, WATCHED = "loss", "val_loss"


class DivergedError(ValueError):
    """Training ran into numbers that are none."""


@dataclasses.dataclass
class State:
    """What a training has come to.

    Attributes:
        step: Steps taken.
        rows: A row of the history for each look at the validation split.
        best: The lowest validation loss.
        waited: Looks since then.
        best_weights: The weights at that look.
    """

    step: int = 0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: float = math.inf
    waited: int = 0
    best_weights: list[Array] = dataclasses.field(default_factory=list)

    def write(self, path: str, model: keras.Model) -> None:
        """Writes the state, and the model's and the optimizer's variables, so that a reader sees all or nothing."""
        record = {"step": self.step, "rows": self.rows, "best": self.best, "waited": self.waited}
        arrays: dict[str, Any] = {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)}
        for name, values in (
            ("weights", model.get_weights()),
            ("optimizer", [variable.numpy() for variable in model.optimizer.variables]),
            ("best", self.best_weights),
        ):
            arrays |= {f"{name}/{place}": value for place, value in enumerate(values)}
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_whole(path, content.getvalue())

    @classmethod
    def read(cls, path: str, model: keras.Model) -> "State":
        """Reads what :meth:`write` wrote, variables into ``model``; a new state where nothing was written."""
        if not tf.io.gfile.exists(path):
            return cls()
        with tf.io.gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read())) as arrays:
            model.set_weights(_numbered(arrays, "weights"))
            for variable, value in zip(model.optimizer.variables, _numbered(arrays, "optimizer"), strict=True):
                variable.assign(value)
            record = json.loads(arrays["record"].tobytes())
            return cls(**record, best_weights=_numbered(arrays, "best"))


class Rounds(keras.callbacks.Callback):
    """Keeps a training's state at the end of each of Keras' epochs, which here is the time between two checkpoints."""

    def __init__(
        self,
        state: State,
        training: Training,
        job: Job | None,
        steps: Steps | None = None,
        look: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Takes what was there before.

        Args:
            state: Where training is.
            training: How often to look, and when to stop.
            job: Where the history and the checkpoint are written; ``None`` writes neither.
            steps: Who takes them, and knows how long they waited for their rows.
            look: Takes the place of Keras' own look at the validation split.
        """
        super().__init__()
        self.state = state
        self._training = training
        self._job = job
        self._look = look
        self._clock = _Clock(steps)

    @property
    def is_over(self) -> bool:
        """Whether all steps are taken, or patience is at its end."""
        epochs = self._training.rounds * self._training.intervals
        return self.state.step >= epochs * self._training.interval or self.state.waited >= self._training.patience

    @property
    def measured(self) -> dict[str, float | None]:
        """``steps_per_second`` and ``input_wait``, without the first interval, in which TensorFlow traces."""
        return self._clock.measured

    def on_epoch_begin(self, *_: object) -> None:
        """Notes the time."""
        self._clock.start()

    def on_test_begin(self, *_: object) -> None:
        """Stops the clock: a look is no step."""
        self._clock.stop(self._training.interval)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the state, and stops training that has come to its end."""
        self._clock.stop(self._training.interval)
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self._look and (epoch + 1) % self._training.intervals == 0:
            values.update(self._look())
        self.state.step += self._training.interval
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        report(f"step {self.state.step} of {self._training.steps}, {shown}")
        if not all(math.isfinite(values.get(name, 0.0)) for name in (LOSS, WATCHED)):
            raise DivergedError(
                "the loss is not a number; lower network.hyperparameters.learning_rate, or look for extreme values in "
                "the dense features"
            )
        if WATCHED in values:
            self._judge(values)
        if self._job:
            self.state.write(self._job.in_run_dir(STATE_FILE), self.model)
            write_whole(self._job.in_run_dir(HISTORY_FILE), _as_csv(self.state.rows))

    def _judge(self, values: Mapping[str, float]) -> None:
        state = self.state
        state.rows.append({"step": state.step, **values})
        state.waited += 1
        if values[WATCHED] < state.best:
            state.best, state.waited, state.best_weights = values[WATCHED], 0, self.model.get_weights()
        self.model.stop_training = self.is_over


class _Clock:
    """Times the steps of each interval but the first."""

    def __init__(self, steps: Steps | None) -> None:
        self._steps = steps
        self._intervals = self._count = 0
        self._seconds = self._waited = 0.0
        self._began: tuple[float, float] | None = None

    def start(self) -> None:
        self._began = time.perf_counter(), self._so_far

    def stop(self, steps: int) -> None:
        """Ends an interval; a second time it does nothing."""
        if self._began and self._intervals:
            self._count += steps
            self._seconds += time.perf_counter() - self._began[0]
            self._waited += self._so_far - self._began[1]
        self._intervals += self._began is not None
        self._began = None

    @property
    def measured(self) -> dict[str, float | None]:
        if not self._seconds:
            return {"steps_per_second": None, "input_wait": None}
        share = self._waited / self._seconds if self._steps else None
        return {"steps_per_second": self._count / self._seconds, "input_wait": share}

    @property
    def _so_far(self) -> float:
        return self._steps.waited if self._steps else 0.0


def write_whole(path: str, content: bytes) -> None:
    """Writes a file, on this machine or remote, so that a reader sees all of it or what was there before."""
    partial = f"{path}.partial"
    with tf.io.gfile.GFile(partial, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(partial, path, overwrite=True)


def _numbered(arrays: Mapping[str, Array], name: str) -> list[Array]:
    found: list[Array] = []
    while f"{name}/{len(found)}" in arrays:
        found.append(arrays[f"{name}/{len(found)}"])
    return found


def _as_csv(rows: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue().encode()
