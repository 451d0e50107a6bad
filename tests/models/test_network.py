from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from small_table import BINARY, MULTICLASS, PROBLEMS, REGRESSION

from models.network import build_network
from models.problem.categories import Hashed
from models.problem.features import Features
from models.problem.numbers import Cyclical, Dense
from models.problem.problem import Problem

SIZES = {"share_bucketed": 5, "city_vocabulary": 8}
ROWS = 6


def batch(scale: float = 1.0) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(0)
    return {
        "gain_dense": tf.constant(random.normal(size=[ROWS, 1]) * scale, tf.float32),
        "month_cyclical": tf.constant(random.normal(size=[ROWS, 2]) * scale, tf.float32),
        "share_bucketed": tf.constant(random.integers(0, 5, [ROWS, 1]), tf.int64),
        "city_vocabulary": tf.constant(random.integers(0, 8, [ROWS, 1]), tf.int64),
    }


def with_random_weights(model: keras.Model) -> keras.Model:
    """Sets random weights, also in the wide part, whose initial weights are zero."""
    random = np.random.default_rng(1)
    model.set_weights([random.normal(size=weights.shape) for weights in model.get_weights()])
    return model


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("task", sorted(PROBLEMS))
def test_outputs_have_the_shape_and_range_of_the_task(task: str, layers: int) -> None:
    problem = PROBLEMS[task]  # type: ignore[index]
    model = with_random_weights(build_network(problem, {"hidden_layers": layers, "hidden_units": 8}, SIZES))
    found = model(batch(scale=30)).numpy()
    assert found.dtype == np.float32
    assert found.shape == (ROWS, 3 if task == "multiclass" else 1)
    if task == "regression":
        assert np.abs(found).max() > 1
    else:
        assert ((found >= 0) & (found <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_inputs_are_the_transformed_features_by_name() -> None:
    model = build_network(BINARY, {}, SIZES)
    found = {name: (tensor.dtype, tensor.shape[1]) for name, tensor in model.input.items()}
    assert found == {
        "gain_dense": (tf.float32, 1),
        "month_cyclical": (tf.float32, 2),
        "share_bucketed": (tf.int64, 1),
        "city_vocabulary": (tf.int64, 1),
    }


@pytest.mark.parametrize("feature", ["gain_dense", "month_cyclical", "share_bucketed", "city_vocabulary"])
@pytest.mark.parametrize("layers", [0, 2])
def test_every_feature_affects_the_output(feature: str, layers: int) -> None:
    model = with_random_weights(build_network(REGRESSION, {"hidden_layers": layers}, SIZES))
    rows = batch()
    other = {**rows, feature: (rows[feature] + 1) % 5}
    assert (model(rows).numpy() != model(other).numpy()).any()


def test_the_wide_part_adds_a_weight_for_each_category() -> None:
    model = build_network(REGRESSION, {"hidden_layers": 1}, SIZES)
    model.set_weights([np.zeros(weights.shape) for weights in model.get_weights()])
    layer = model.get_layer("wide_embeddings")
    weights = np.zeros([13, 1])
    weights[layer.rows["city_vocabulary"], 0] = np.arange(8)
    layer.set_weights([weights])
    np.testing.assert_array_equal(model(batch()), batch()["city_vocabulary"])


@pytest.mark.parametrize(("layers", "units"), [(0, []), (1, [12]), (3, [12, 6, 3])])
def test_each_hidden_layer_is_half_as_wide_as_the_previous_one(layers: int, units: list[int]) -> None:
    model = build_network(BINARY, {"hidden_layers": layers, "hidden_units": 12}, SIZES)
    assert [layer.units for layer in model.layers if layer.name.startswith("hidden_")] == units


@pytest.mark.parametrize(
    ("features", "sizes"),
    [
        (Features(dense={"x": Dense()}), {}),
        (Features(cyclical={"x": Cyclical(period=7)}), {}),
        (Features(hashed={"x": Hashed(buckets=4)}), {"x_hashed": 5}),
    ],
)
def test_one_feature_is_enough(features: Features, sizes: dict[str, int]) -> None:
    problem = Problem(task="binary", label=BINARY.label, features=features)
    model = build_network(problem, {"hidden_layers": 0}, sizes)
    rows = {name: tf.zeros([ROWS, tensor.shape[1]], tensor.dtype) for name, tensor in model.input.items()}
    assert model(rows).shape == (ROWS, 1)


def test_hyperparameters_reach_the_network() -> None:
    given = {"dropout": 0.25, "learning_rate": 0.5, "l2": 0.1, "embedding_size": 2}
    model = build_network(MULTICLASS, given, SIZES)
    assert model.optimizer.learning_rate == 0.5
    assert {layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)} == {0.25}
    assert model.get_layer("deep_embeddings_2").width == 2
    assert model.get_layer("hidden_0").kernel_regularizer.l2 == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [({"hidden_unit": 3}, "hidden_unit"), ({"dropout": 1.5}, "less than 1"), ({"hidden_layers": 1.5}, "integer")],
)
def test_an_invalid_hyperparameter_is_rejected(hyperparameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_network(BINARY, hyperparameters, SIZES)


@pytest.mark.parametrize(
    ("problem", "label", "loss"),
    [
        (BINARY, [[1]], lambda found: -np.log(found[0, 0])),
        (MULTICLASS, [[2]], lambda found: -np.log(found[0, 2])),
        (REGRESSION, [[4.0]], lambda found: (found[0, 0] - 4) ** 2),
    ],
)
def test_the_loss_depends_on_the_task(problem: Problem, label: Any, loss: Any) -> None:
    model = with_random_weights(build_network(problem, {"hidden_units": 4}, SIZES))
    row = {name: column[:1] for name, column in batch(scale=0.1).items()}
    found = model.evaluate(row, tf.constant(label), verbose=0)[0]
    assert found == pytest.approx(loss(model(row).numpy()), rel=1e-4)
