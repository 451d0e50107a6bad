"""The state of training, saved so that another process can resume it."""

import dataclasses
import io
import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import logging

from models.training.remote_files import write_atomically

Array: TypeAlias = np.ndarray[Any, Any]


@dataclasses.dataclass
class TrainingState:
    """The progress of training.

    Attributes:
        job_digest: The training that the state belongs to. See :func:`models.training.job_digest.job_digest`.
        step: Number of steps taken.
        history: One row of metrics per evaluation on the validation split.
        best_loss: Lowest validation loss so far.
        evaluations_since_best: Number of evaluations since then.
        best_weights: Weights at that evaluation.
    """

    job_digest: str = ""
    step: int = 0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_loss: float = math.inf
    evaluations_since_best: int = 0
    best_weights: list[Array] = dataclasses.field(default_factory=list)

    def write(self, path: str, weights: list[Array], optimizer: keras.optimizers.Optimizer) -> None:
        """Writes the state, the weights of the model and the variables of its optimizer to one file, atomically."""
        record = {
            "job": self.job_digest,
            "step": self.step,
            "rows": self.history,
            "best": self.best_loss,
            "waited": self.evaluations_since_best,
        }
        arrays: dict[str, Any] = {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)}
        for name, values in (
            ("weights", weights),
            ("optimizer", [variable.numpy() for variable in optimizer.variables]),
            ("best", self.best_weights),
        ):
            arrays |= {f"{name}/{place}": value for place, value in enumerate(values)}
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def read(cls, path: str, model: keras.Model, job_digest: str) -> "TrainingState":
        """Reads a state that :meth:`write` wrote, and restores ``model`` and its optimizer.

        Args:
            path: The file, which may be remote.
            model: The network, whose optimizer is built.
            job_digest: The training that resumes. The state of any other is not used.

        Returns:
            The state of this training, or a new one if the file has no such state.
        """
        if not tf.io.gfile.exists(path):
            return cls(job_digest)
        with tf.io.gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read())) as arrays:
            record = json.loads(arrays["record"].tobytes())
            if record.get("job") != job_digest:
                logging.warning("%s belongs to another training. Training starts from the beginning.", path)
                return cls(job_digest)
            model.set_weights(_array_list(arrays, "weights"))
            for variable, value in zip(model.optimizer.variables, _array_list(arrays, "optimizer"), strict=True):
                variable.assign(value)
            return cls(
                job_digest=job_digest,
                step=record["step"],
                history=record["rows"],
                best_loss=record["best"],
                evaluations_since_best=record["waited"],
                best_weights=_array_list(arrays, "best"),
            )


def _array_list(arrays: Mapping[str, Array], name: str) -> list[Array]:
    found: list[Array] = []
    while f"{name}/{len(found)}" in arrays:
        found.append(arrays[f"{name}/{len(found)}"])
    return found
