"""The rows of a run's splits as data frames, and the model that the run trained."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from custom_components.shared.examples import records
from models.problem.problem import Problem
from models.signatures import SERVING, TRANSFORM_LABEL

BATCH = 2048


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of a split, N of them with a known label.

    Attributes:
        features: The raw columns that the features are computed from, [N, columns]. Text is of dtype ``category``.
        label: Class indices as int64 [N], or float32 [N] for a regression.
        examples: The rows as serialized tf.Examples.
    """

    features: pd.DataFrame
    label: np.ndarray
    examples: Sequence[bytes]


class Run:
    """What the only run in an output folder made."""

    def __init__(self, output: Path, problem: Problem) -> None:
        self._examples = _only(output / "artifacts/ExampleGen/examples")
        self._problem = problem
        self._model = tf.saved_model.load(str(_newest(output / "artifacts/Trainer/model") / "Format-Serving"))

    def splits(self, *groups: Sequence[str]) -> list[Split]:
        """Reads splits. Columns of text have the same categories in all of them.

        Args:
            groups: Names of splits that become one.
        """
        examples = [[row for name in group for row in self._rows(name)] for group in groups]
        frames = [_frame(rows, self._problem.features.columns) for rows in examples]
        whole = pd.concat(frames, keys=range(len(frames)))
        for column in whole.select_dtypes(exclude="number"):
            whole[column] = whole[column].astype("category")
        labels = [self._call(TRANSFORM_LABEL, rows)[self._problem.label_tensor][:, 0] for rows in examples]
        found = []
        for place, (rows, label) in enumerate(zip(examples, labels, strict=True)):
            known = label >= 0 if self._problem.task != "regression" else np.isfinite(label)
            kept = [row for row, is_known in zip(rows, known, strict=True) if is_known]
            found.append(Split(whole.loc[place][known].reset_index(drop=True), label[known], kept))
        return found

    def predictions(self, split: Split) -> np.ndarray:
        """Predictions of the trained model: float32 [N, 1], or [N, C] for a multiclass task."""
        return self._call(SERVING, split.examples)["predictions"]

    def _rows(self, split: str) -> list[bytes]:
        files = sorted(str(each) for each in (self._examples / f"Split-{split}").iterdir())
        return list(records(files).as_numpy_iterator())

    def _call(self, signature: str, rows: Sequence[bytes]) -> dict[str, np.ndarray]:
        function, parts = self._model.signatures[signature], []
        [name] = function.structured_input_signature[1]
        for start in range(0, len(rows), BATCH):
            parts.append(function(**{name: tf.constant(rows[start : start + BATCH])}))
        return {output: np.concatenate([part[output].numpy() for part in parts]) for output in parts[0]}


def _only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def _newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: int(path.name))


def _frame(rows: Iterable[bytes], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame([_values(row, columns) for row in rows], columns=list(columns))


def _values(row: bytes, columns: Sequence[str]) -> dict[str, Any]:
    features = tf.train.Example.FromString(row).features.feature
    return {name: _value(features[name]) for name in columns if name in features}


def _value(feature: tf.train.Feature) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    if not values:
        return None
    if kind == "bytes_list":
        return " | ".join(each.decode(errors="replace") for each in values)
    return values[0]
