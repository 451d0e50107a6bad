"""Network functions as a user may write them. Worker processes import them by name."""

from collections.abc import Mapping

import tf_keras as keras

from models.network import compile_for, feature_inputs
from models.problem.problem import Problem
from models.training_settings import Scalar


def normalized(
    problem: Problem, hyperparameters: Mapping[str, Scalar], _categorical_sizes: Mapping[str, int]
) -> keras.Model:
    """A network with moving averages, which each process keeps until they are read."""
    inputs = feature_inputs(problem.features)
    numbers = keras.layers.Concatenate()([each for each in inputs.values() if each.dtype == "float32"])
    hidden = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Dense(8, "relu")(numbers))
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(hidden))
    compile_for(model, problem, keras.optimizers.Adam(hyperparameters["learning_rate"]))
    return model


class Subclassed(keras.Model):
    """A network without variables before its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1, "sigmoid")

    def call(self, inputs):  # type: ignore[no-untyped-def]
        """Weighted sum of the dense features."""
        return self.dense(keras.layers.concatenate([inputs[name] for name in sorted(inputs) if "dense" in name]))


def subclassed(
    problem: Problem, _hyperparameters: Mapping[str, Scalar], _categorical_sizes: Mapping[str, int]
) -> keras.Model:
    """Returns an unbuilt network."""
    model = Subclassed()
    compile_for(model, problem, keras.optimizers.Adam(0.01))
    return model


def too_wide(
    problem: Problem, hyperparameters: Mapping[str, Scalar], categorical_sizes: Mapping[str, int]
) -> keras.Model:
    """A network with three outputs for two classes."""
    model = normalized(problem, hyperparameters, categorical_sizes)
    wide = keras.Model(model.inputs, keras.layers.Dense(3)(model.output))
    compile_for(wide, problem, keras.optimizers.Adam())
    return wide
