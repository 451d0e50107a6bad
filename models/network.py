"""The default network, wide and deep, and the protocol that any other network function follows."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import tensorflow as tf
import tf_keras as keras

from models.embeddings import AverageEmbedding, Embeddings
from models.problem.features import Features
from models.problem.lists import WEIGHTS
from models.problem.problem import Problem
from models.training_settings import Hyperparameters, Scalar


class NetworkFunction(Protocol):
    """A function that builds the network to train.

    To train your own network, write such a function and name it in ``network.function``.
    """

    def __call__(
        self, problem: Problem, hyperparameters: Mapping[str, Scalar], categorical_sizes: Mapping[str, int], /
    ) -> keras.Model:
        """Builds and compiles a network.

        Args:
            problem: Task, label and features.
            hyperparameters: ``network.hyperparameters``, or the ones that the Tuner found.
            categorical_sizes: Number of indices of each transformed categorical feature. A ``text`` or ``tags`` feature
                has several indices per row, where 0 stands for none. For ``tf_idf``, their weights are a feature of the
                same name followed by :data:`models.problem.lists.WEIGHTS`.

        Returns:
            A compiled model. Its inputs are the transformed features by name, each [N, width], as
            :func:`feature_inputs` returns them. Its output is float32 [N, 1] (the probability of the second class, or
            the value, in the unit of the scaled label) or [N, C] (class probabilities).
        """


def build_network(
    problem: Problem, hyperparameters: Mapping[str, Scalar], categorical_sizes: Mapping[str, int]
) -> keras.Model:
    """Builds and compiles a wide and deep network (Cheng et al., 2016, https://arxiv.org/abs/1606.07792).

    Args:
        problem: Task, label and features.
        hyperparameters: Values of :class:`models.training_settings.Hyperparameters`. The others keep their defaults.
        categorical_sizes: Number of indices of each transformed categorical feature.

    Returns:
        A compiled model. See :class:`NetworkFunction`.
    """
    settings = Hyperparameters(**hyperparameters)  # type: ignore[arg-type]
    inputs = feature_inputs(problem.features)
    weights = {name: inputs[name + WEIGHTS] for name in categorical_sizes if name + WEIGHTS in inputs}
    of_weights = {name + WEIGHTS for name in weights}
    deep: list[tf.Tensor] = [
        inputs[name] for name in inputs if name not in categorical_sizes and name not in of_weights
    ]
    single = {
        name: size for name, size in categorical_sizes.items() if inputs[name].shape[1] == 1 and name not in weights
    }
    for width, sizes in _by_width(single, settings.embedding_size).items():
        embedded = Embeddings(sizes, width, name=f"deep_embeddings_{width}")([inputs[name] for name in sizes])
        deep.append(keras.layers.Flatten()(embedded))
    wide: list[tf.Tensor] = []
    for name in (name for name in categorical_sizes if name not in single):
        several, size = (inputs[name], weights.get(name)), categorical_sizes[name]
        width = min(settings.embedding_size, math.ceil(math.sqrt(size)))
        deep.append(AverageEmbedding(size, width, name=f"{name}_deep")(*several))
        wide.append(AverageEmbedding(size, output_width(problem), "zeros", name=f"{name}_wide")(*several))
    logits = keras.layers.Dense(output_width(problem), name="deep")(_hidden(_concatenate(deep), settings))
    if single:
        found = Embeddings(single, output_width(problem), "zeros", name="wide_embeddings")(
            [inputs[name] for name in single]
        )
        wide.append(tf.reduce_sum(found, axis=1))
    logits = keras.layers.Add(name="logits")([logits, *wide]) if wide else logits
    outputs = keras.layers.Activation(_activation(problem), name="predictions")(logits)
    model = keras.Model(inputs, outputs)
    compile_for(model, problem, keras.optimizers.Adam(settings.learning_rate))
    return model


def feature_inputs(features: Features) -> dict[str, tf.Tensor]:
    """Keras inputs of the transformed features, by name in TensorFlow's graphs."""
    return {
        name: keras.Input((output.width,), name=name, dtype=output.dtype) for name, output in features.outputs.items()
    }


def output_width(problem: Problem) -> int:
    """Width of the network's output: the number of classes for a multiclass task, else 1."""
    return len(problem.class_names) if problem.task == "multiclass" else 1


def compile_for(model: keras.Model, problem: Problem, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles ``model`` with the loss and the validation metric of the problem's task."""
    match problem.task:
        case "binary":
            model.compile(optimizer, keras.losses.BinaryCrossentropy(), [keras.metrics.AUC(name="auc")])
        case "multiclass":
            accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(), [accuracy])
        case "regression":
            model.compile(optimizer, keras.losses.MeanSquaredError(), [keras.metrics.MeanAbsoluteError(name="mae")])


def _by_width(sizes: Mapping[str, int], max_width: int) -> dict[int, dict[str, int]]:
    """Groups categorical features by the width of their embeddings, which grows with the number of indices."""
    groups: dict[int, dict[str, int]] = {}
    for name, size in sizes.items():
        groups.setdefault(min(max_width, math.ceil(math.sqrt(size))), {})[name] = size
    return dict(sorted(groups.items()))


def _hidden(inputs: tf.Tensor, settings: Hyperparameters) -> tf.Tensor:
    hidden = inputs
    for layer in range(settings.hidden_layers):
        units = max(1, settings.hidden_units >> layer)
        kernel = keras.regularizers.L2(settings.l2) if settings.l2 else None
        hidden = keras.layers.Dense(units, "relu", kernel_regularizer=kernel, name=f"hidden_{layer}")(hidden)
        hidden = keras.layers.Dropout(settings.dropout)(hidden)
    return hidden


def _activation(problem: Problem) -> str:
    return {"binary": "sigmoid", "multiclass": "softmax", "regression": "linear"}[problem.task]


def _concatenate(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate()(list(tensors))
