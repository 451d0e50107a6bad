"""The work between steps: evaluation on the validation split, early stopping and checkpoints."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tf_keras as keras

from artifacts.names import HISTORY_FILE, STATE_FILE
from artifacts.nodes.training import format_history
from common.progress import report
from models.job import Job
from models.training.remote_files import write_atomically
from models.training.state import Array, TrainingState
from models.training.steps import StepRunner
from models.training_settings import Training

LOSS, MONITOR = "loss", "val_loss"


class DivergedError(ValueError):
    """Training produced NaN or infinite values."""


class Checkpoints(keras.callbacks.Callback):
    """Saves the training state and stops training at the end of Keras's epochs, which end at checkpoints here."""

    def __init__(
        self,
        state: TrainingState,
        training: Training,
        ends: Sequence[int],
        job: Job | None,
        steps: StepRunner | None = None,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Creates the callback.

        Args:
            state: The state to start from. It is updated.
            training: When to evaluate, and when to stop.
            ends: The steps at which Keras's epochs end. All checkpoints are among them.
            job: Where to write the history and the state. ``None`` writes neither.
            steps: Measures how long steps wait for input.
            evaluate: Replaces Keras's own evaluation.
        """
        super().__init__()
        self._supports_tf_logs = True  # so that the callbacks after this one see the metrics that it adds
        self.state = state
        self._training = training
        self._ends = ends
        self._checkpoints = set(training.checkpoints)
        self._job = job
        self._evaluate = evaluate
        self._timer = _StepTimer(steps)

    @property
    def is_finished(self) -> bool:
        """Whether all steps are taken, or patience has run out."""
        state = self.state
        return state.step >= self._training.steps or state.evaluations_since_best >= self._training.patience

    @property
    def timing(self) -> dict[str, float | None]:
        """``steps_per_second`` and ``input_wait``, without the first epoch, in which TensorFlow traces."""
        return self._timer.timing

    def on_epoch_begin(self, epoch: int, _logs: object = None) -> None:
        """Starts the timer."""
        self._count = self._ends[epoch] - self.state.step
        self._timer.start()

    def on_test_begin(self, *_: object) -> None:
        """Stops the timer before an evaluation."""
        self._timer.stop(self._count)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the state, and stops training if it is finished.

        Raises:
            DivergedError: The training or the validation loss is NaN or infinite.
        """
        self._timer.stop(self._count)
        step = self.state.step = self._ends[epoch]
        if step not in self._checkpoints:
            return
        logs = {} if logs is None else logs
        if self._evaluate and self._training.is_evaluated(step):
            logs.update(self._evaluate())
        values = {name: float(value) for name, value in logs.items()}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        report(f"step {step} of {self._training.steps}, {shown}")
        if not all(math.isfinite(values.get(name, 0.0)) for name in (LOSS, MONITOR)):
            raise DivergedError(
                "training produced NaN or infinite values; lower network.hyperparameters.learning_rate, or check the "
                "dense features for extreme values"
            )
        # In every process, since several workers compute moving averages together.
        weights = self.model.get_weights()
        if self._training.is_evaluated(step):
            self._record_evaluation(values, weights)
        if self._job:
            self.state.write(self._job.in_run_dir(STATE_FILE), weights, self.model.optimizer)
            write_atomically(self._job.in_run_dir(HISTORY_FILE), format_history(self.state.history).encode())

    def _record_evaluation(self, values: Mapping[str, float], weights: list[Array]) -> None:
        if MONITOR not in values:
            raise ValueError(
                f"found no {MONITOR} after the evaluation on the validation split; expected rows in that split "
                "(data.splits), and a test_step that returns the loss"
            )
        state = self.state
        state.history.append({"step": state.step, **values})
        state.evaluations_since_best += 1
        if values[MONITOR] < state.best_loss:
            state.best_loss, state.evaluations_since_best, state.best_weights = values[MONITOR], 0, weights
        self.model.stop_training = self.is_finished


class _StepTimer:
    """Times the steps of each epoch except the first."""

    def __init__(self, steps: StepRunner | None) -> None:
        self._steps = steps
        self._epochs = self._count = 0
        self._seconds = self._wait_seconds = 0.0
        self._start: tuple[float, float] | None = None

    def start(self) -> None:
        self._start = time.perf_counter(), self._total_wait

    def stop(self, count: int) -> None:
        """Ends an epoch of ``count`` steps. A second call does nothing."""
        if self._start and self._epochs:
            self._count += count
            self._seconds += time.perf_counter() - self._start[0]
            self._wait_seconds += self._total_wait - self._start[1]
        self._epochs += self._start is not None
        self._start = None

    @property
    def timing(self) -> dict[str, float | None]:
        if not self._seconds:
            return {"steps_per_second": None, "input_wait": None}
        fraction = self._wait_seconds / self._seconds if self._steps else None
        return {"steps_per_second": self._count / self._seconds, "input_wait": fraction}

    @property
    def _total_wait(self) -> float:
        return self._steps.wait_seconds if self._steps else 0.0
