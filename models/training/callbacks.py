"""What happens between steps: the validation split is evaluated, training may stop, and its state is kept."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tf_keras as keras

from artifacts.names import HISTORY_FILE, STATE_FILE
from artifacts.training import format_history
from common.progress import report
from models.job import Job
from models.settings import Training
from models.training.state import Array, State, write_whole
from models.training.steps import Steps

LOSS, WATCHED = "loss", "val_loss"


class DivergedError(ValueError):
    """Training ran into numbers that are none."""


class Checkpoints(keras.callbacks.Callback):
    """Keeps a training's state, and stops it, at the ends of Keras' epochs, which here are the checkpoints."""

    def __init__(
        self,
        state: State,
        training: Training,
        ends: Sequence[int],
        job: Job | None,
        steps: Steps | None = None,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Takes what was there before.

        Args:
            state: Where training is.
            training: How often to evaluate, and when to stop.
            ends: The steps at which Keras' epochs end; all checkpoints are among them.
            job: Where the history and the state are written; ``None`` writes neither.
            steps: Who takes them, and knows how long they waited for their rows.
            evaluate: Takes the place of Keras' own evaluation.
        """
        super().__init__()
        self._supports_tf_logs = True  # so that the callbacks behind this one see the metrics that it adds
        self.state = state
        self._training = training
        self._ends = ends
        self._kept = set(training.checkpoints)
        self._job = job
        self._evaluate = evaluate
        self._clock = _Clock(steps)

    @property
    def is_over(self) -> bool:
        """Whether all steps are taken, or patience is at its end."""
        return self.state.step >= self._training.steps or self.state.waited >= self._training.patience

    @property
    def measured(self) -> dict[str, float | None]:
        """``steps_per_second`` and ``input_wait``, without the first epoch, in which TensorFlow traces."""
        return self._clock.measured

    def on_epoch_begin(self, epoch: int, _logs: object = None) -> None:
        """Notes the time."""
        self._count = self._ends[epoch] - self.state.step
        self._clock.start()

    def on_test_begin(self, *_: object) -> None:
        """Stops the clock: an evaluation is no step."""
        self._clock.stop(self._count)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps the state, and stops training that has come to its end."""
        self._clock.stop(self._count)
        step = self.state.step = self._ends[epoch]
        if step not in self._kept:
            return
        logs = {} if logs is None else logs
        if self._evaluate and self._training.is_evaluated(step):
            logs.update(self._evaluate())
        values = {name: float(value) for name, value in logs.items()}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        report(f"step {step} of {self._training.steps}, {shown}")
        if not all(math.isfinite(values.get(name, 0.0)) for name in (LOSS, WATCHED)):
            raise DivergedError(
                "the loss is not a number; lower network.hyperparameters.learning_rate, or look for extreme values in "
                "the dense features"
            )
        # In every process: for the moving averages of several, each has to give its own.
        weights = self.model.get_weights()
        if self._training.is_evaluated(step):
            self._judge(values, weights)
        if self._job:
            self.state.write(self._job.in_run_dir(STATE_FILE), weights, self.model.optimizer)
            write_whole(self._job.in_run_dir(HISTORY_FILE), format_history(self.state.rows).encode())

    def _judge(self, values: Mapping[str, float], weights: list[Array]) -> None:
        if WATCHED not in values:
            raise ValueError(
                f"the evaluation on the validation split gave no {WATCHED}; expected rows in it (data.splits), and a "
                "test_step that gives the loss"
            )
        state = self.state
        state.rows.append({"step": state.step, **values})
        state.waited += 1
        if values[WATCHED] < state.best:
            state.best, state.waited, state.best_weights = values[WATCHED], 0, weights
        self.model.stop_training = self.is_over


class _Clock:
    """Times the steps of each epoch but the first."""

    def __init__(self, steps: Steps | None) -> None:
        self._steps = steps
        self._epochs = self._count = 0
        self._seconds = self._waited = 0.0
        self._began: tuple[float, float] | None = None

    def start(self) -> None:
        self._began = time.perf_counter(), self._so_far

    def stop(self, count: int) -> None:
        """Ends an epoch of so many steps; a second time it does nothing."""
        if self._began and self._epochs:
            self._count += count
            self._seconds += time.perf_counter() - self._began[0]
            self._waited += self._so_far - self._began[1]
        self._epochs += self._began is not None
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
