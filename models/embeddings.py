"""Embeddings of many categorical features, looked up together."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from artifacts.names import EMBEDDINGS_FILE


class Embeddings(keras.layers.Layer):
    """Embeds the indices of several features, whose rows are parts of one variable.

    A layer per feature would add dozens of operators to the graph of a step, for each feature: its lookup, its
    gradient, and the optimizer's update. With a thousand features, building that graph takes minutes.

    Attributes:
        sizes: Number of indices by feature, in the order of the rows.
    """

    def __init__(self, sizes: Mapping[str, int], width: int, initializer: str = "uniform", name: str = "") -> None:
        """Creates the layer.

        Args:
            sizes: Number of indices by feature.
            width: Width of an embedding.
            initializer: Keras initializer of the variable.
            name: Name of the layer.
        """
        super().__init__(name=name or None)
        self.sizes = dict(sizes)
        self.width = width
        self._initializer = initializer

    @property
    def rows(self) -> dict[str, slice]:
        """By feature: its rows of the variable."""
        ends = np.cumsum([*self.sizes.values()]).tolist()
        return {name: slice(end - size, end) for (name, size), end in zip(self.sizes.items(), ends, strict=True)}

    def build(self, input_shape: Any) -> None:
        """Creates the variable ``embeddings``, [sum of the sizes, width]."""
        shape = [sum(self.sizes.values()), self.width]
        self.embeddings = self.add_weight("embeddings", shape, initializer=self._initializer)
        super().build(input_shape)

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Looks up the indices.

        Args:
            inputs: Indices of each feature, integers [N, length].

        Returns:
            The embeddings of all indices, float32 [N, sum of the lengths, width].
        """
        starts = [np.full(each.shape[1], rows.start) for each, rows in zip(inputs, self.rows.values(), strict=True)]
        indices = inputs[0] if len(inputs) == 1 else tf.concat(list(inputs), axis=1)
        return tf.gather(self.embeddings, indices + tf.constant(np.concatenate(starts), indices.dtype))


class AverageEmbedding(keras.layers.Layer):
    """Embeds the words of a row, and averages their embeddings by weight. A row without words has zeros."""

    def __init__(self, size: int, width: int, initializer: str = "uniform", name: str = "") -> None:
        """Creates the layer for indices below ``size``, with embeddings of ``width``."""
        super().__init__(name=name or None)
        self._shape, self._initializer = [size, width], initializer

    def build(self, input_shape: Any) -> None:
        """Creates the variable ``embeddings``, [size, width]."""
        self.embeddings = self.add_weight("embeddings", self._shape, initializer=self._initializer)
        super().build(input_shape)

    def call(self, indices: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
        """Returns float32 [N, width].

        Args:
            indices: The words, int64 [N, words]. 0 stands for no word.
            weights: Weight of each word, float32 [N, words], or ``None`` for the same weight.
        """
        known = tf.cast(indices != 0, tf.float32)
        shares = known if weights is None else known * weights
        total = tf.reduce_sum(shares, axis=1, keepdims=True)
        vectors = tf.gather(self.embeddings, indices)
        return tf.einsum("nw,nwd->nd", tf.math.divide_no_nan(shares, total), vectors)


def embedding_layers(model: keras.Model) -> dict[str, Embeddings]:
    """The layers of a network that embed several features, by the name of their variable."""
    return {variable_name(each.embeddings.name): each for each in model.submodules if isinstance(each, Embeddings)}


def write_layout(model: keras.Model, directory: str) -> None:
    """Writes which rows of a SavedModel's variables belong to which feature, for a later warm start."""
    layout = {name: layer.sizes for name, layer in embedding_layers(model).items()}
    with tf.io.gfile.GFile(f"{directory}/{EMBEDDINGS_FILE}", "w") as file:
        file.write(json.dumps(layout, indent=1))


def read_layout(directory: str) -> dict[str, dict[str, int]] | None:
    """By variable of a SavedModel: the number of rows of each feature, in order. ``None`` if it was not written."""
    path = f"{directory}/{EMBEDDINGS_FILE}"
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        layout: dict[str, dict[str, int]] = json.loads(file.read())
    return layout


def variable_name(name: str) -> str:
    """Name of a variable without the number of its tensor."""
    return name.removesuffix(":0")
