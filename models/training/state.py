"""What a training has come to, kept so that it can go on from there in another process."""

import dataclasses
import io
import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras as keras

Array: TypeAlias = np.ndarray[Any, Any]


@dataclasses.dataclass
class State:
    """What a training has come to.

    Attributes:
        step: Steps taken.
        rows: A row of the history for each evaluation on the validation split.
        best: The lowest validation loss.
        waited: Evaluations since then.
        best_weights: The weights at that evaluation.
    """

    step: int = 0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: float = math.inf
    waited: int = 0
    best_weights: list[Array] = dataclasses.field(default_factory=list)

    def write(self, path: str, weights: list[Array], optimizer: keras.optimizers.Optimizer) -> None:
        """Writes the state, the model's weights and the optimizer's, so that a reader sees all or nothing."""
        record = {"step": self.step, "rows": self.rows, "best": self.best, "waited": self.waited}
        arrays: dict[str, Any] = {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)}
        for name, values in (
            ("weights", weights),
            ("optimizer", [variable.numpy() for variable in optimizer.variables]),
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
