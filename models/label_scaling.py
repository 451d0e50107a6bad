"""The unit in which a regression is trained, and the way back to the unit of the table.

Transform takes the logarithm of the label and scales it over the train split. The network learns that target. Every
exported function undoes both, so predictions, metrics and thresholds are in the unit of the table.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models.problem.problem import Problem

MARGIN = math.log(10)  # how far a prediction may be outside of the labels of the train split, on the logarithmic scale
LARGEST = 88.0  # exp of more is infinite in float32


class LabelScaling(NamedTuple):
    """How the label of a regression became the target of the network.

    Attributes:
        is_log: Whether the target is a logarithm, ``sign(x) * log(1 + |x|)``.
        mean: Subtracted from the label, or its logarithm.
        std: The difference was divided by this.
        low: Smallest logarithm in the train split.
        high: Largest logarithm in the train split.
    """

    is_log: bool
    mean: float
    std: float
    low: float
    high: float

    @classmethod
    def of(cls, transform_output: tft.TFTransformOutput, problem: Problem) -> "LabelScaling | None":
        """Reads the constants from a Transform graph. ``None`` if the label is the target."""
        if not problem.has_scaled_label:
            return None
        empty = tf.io.parse_example(tf.constant([b""]), transform_output.raw_feature_spec())
        [constants] = transform_output.transform_features_layer()(empty)[problem.scaling_tensor].numpy().tolist()
        return cls(problem.label.log, *constants)

    def to_raw(self, predictions: tf.Tensor) -> tf.Tensor:
        """Predictions of the network, float32 [N, 1], in the unit of the table.

        A logarithm is first limited to those of the train split and a factor of ten above and below, since the
        exponential of a prediction that is too high would be infinite. Without negative labels, the limit is 0.
        """
        numbers = predictions * self.std + self.mean
        if not self.is_log:
            return numbers
        low, high = self.limits
        numbers = tf.clip_by_value(numbers, low, high)
        if low >= 0:
            return tf.exp(numbers) - 1
        return tf.sign(numbers) * (tf.exp(tf.abs(numbers)) - 1)

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest logarithm of a prediction."""
        low = max(self.low - MARGIN, -LARGEST) if self.low < 0 else 0.0
        return low, max(min(self.high + MARGIN, LARGEST), low)

    def magnitudes(self, predictions: Any) -> Any:
        """What a relative error of raw predictions, an array, is relative to: at least 1 and the prediction.

        An error of the network's last bits grows by the derivative of :meth:`to_raw`.
        """
        sizes = np.abs(predictions)
        logarithms = np.sign(predictions) * np.log1p(sizes) if self.is_log else predictions
        targets = np.abs(logarithms - self.mean) / self.std
        derivative = self.std * (1 + sizes if self.is_log else 1)
        return np.maximum(np.maximum(1, sizes), derivative * np.maximum(1, targets))


def magnitudes(scaling: LabelScaling | None, predictions: Any) -> Any:
    """What a relative error of predictions, an array, is relative to."""
    return scaling.magnitudes(predictions) if scaling else np.maximum(1, np.abs(predictions))
