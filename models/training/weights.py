"""Weights of the rows in the loss, in training and on the validation split."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models.problem.problem import Problem
from models.training_settings import Training

READ_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class RowWeights:
    """What the loss of a row is multiplied with.

    Attributes:
        tensor: Transformed column with the weights of the rows, whose mean over the train split is 1, or ``None``.
        classes: Weight of each class, or empty.
    """

    tensor: str | None = None
    classes: tuple[float, ...] = ()

    def apply(self, features: dict[str, tf.Tensor], label: tf.Tensor) -> Any:
        """Returns ``(features, label)``, and the weights [batch] if rows are weighted, as Keras expects them.

        Args:
            features: Features by name, and the column of the weights.
            label: The label [batch, 1].
        """
        if self.tensor is None and not self.classes:
            return features, label
        weights = tf.ones_like(label[:, 0], tf.float32)
        if self.tensor:
            features = dict(features)
            weights = features.pop(self.tensor)[:, 0]
        if self.classes:
            weights *= tf.gather(tf.constant(self.classes, tf.float32), tf.maximum(label[:, 0], 0))
        return features, label, weights


def row_weights(
    training: Training, problem: Problem, files: Sequence[str], transform_output: tft.TFTransformOutput
) -> RowWeights:
    """Finds the weights for a training.

    Args:
        training: Its settings, with ``class_weights``.
        problem: The problem, with the column of the weights.
        files: The transformed training examples, which are read if the weights of the classes depend on them.
        transform_output: The Transform graph that wrote them.
    """
    tensor, names = problem.weight_tensor, problem.class_names
    match training.class_weights:
        case None:
            return RowWeights(tensor)
        case "balanced":
            return RowWeights(tensor, balanced(_count_classes(files, transform_output, problem)))
        case given:
            return RowWeights(tensor, tuple(float(given.get(name, 1.0)) for name in names))


def balanced(counts: Sequence[int]) -> tuple[float, ...]:
    """Weights with which all classes have the same sum, and rows an average of 1. A class without rows has weight 1.

    >>> balanced([6, 2])
    (0.6666666666666666, 2.0)
    """
    present = sum(count > 0 for count in counts)
    return tuple(sum(counts) / (present * count) if count else 1.0 for count in counts)


def _count_classes(files: Sequence[str], transform_output: tft.TFTransformOutput, problem: Problem) -> list[int]:
    spec = {problem.label_tensor: transform_output.transformed_feature_spec()[problem.label_tensor]}
    counts = np.zeros(len(problem.class_names), np.int64)
    for records in tf.data.TFRecordDataset(list(files), compression_type="GZIP").batch(READ_ROWS):
        labels = tf.io.parse_example(records, spec)[problem.label_tensor].numpy().ravel()
        counts += np.bincount(labels[labels >= 0], minlength=len(counts))
    found: list[int] = counts.tolist()
    return found
