import dataclasses
from typing import Any, Literal

import numpy as np
import pytest
import tensorflow as tf
from small_table import BINARY, MULTICLASS, RATIO, UNSCALED, small_table

from models.network import build_network
from models.training.fitting import TrainingData, fit
from models.training.input import RowOrder, TrainingInput, input_fn
from models.training.weights import RowWeights, balanced, row_weights
from models.training_settings import ModelConfig, Network, Training
from models.transforms.kinds import categorical_sizes

Arrays = np.ndarray[Any, Any]
BY_COLUMN = RowWeights(UNSCALED.weight_tensor)


def shares() -> Arrays:
    """The weights of the table's rows, divided by their mean."""
    ratios = np.array([row[RATIO] for row in small_table().rows], np.float64)
    found: Arrays = ratios / ratios.mean()
    return found


def test_weights_have_a_mean_of_one_over_the_analyzed_rows() -> None:
    columns = small_table().transform(small_table().rows)
    assert UNSCALED.weight_tensor == "plain price_weight"
    np.testing.assert_allclose(columns["plain price_weight"][:, 0], shares(), rtol=1e-5)


def test_evaluation_reads_the_weights_of_the_rows_in_order() -> None:
    table = small_table()
    batches = list(input_fn(table.files, table.graph, UNSCALED, 100, weights=BY_COLUMN))
    features, _, weights = batches[0]
    assert set(features) == set(UNSCALED.features.transformed_names)
    assert weights.shape == (100,)
    np.testing.assert_allclose(np.concatenate([each[2] for each in batches]), shares(), rtol=1e-5)


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_training_reads_each_row_with_its_weight(cache: Literal["memory", "none"]) -> None:
    table = small_table()
    source = TrainingInput(table.files, table.graph, UNSCALED, 60, RowOrder(1, cache=cache), BY_COLUMN)
    several = next(iter(source.dataset(tf.distribute.InputContext())))
    features, labels, weights = source.batch(several, 0)
    assert set(features) == set(UNSCALED.features.transformed_names)
    amounts = np.array([row["amount"] for row in table.rows], np.float32)
    rows = [int(np.argmin(np.abs(amounts - label))) for label in labels.numpy()[:, 0]]
    np.testing.assert_allclose(weights, shares()[rows], rtol=1e-5)


def test_class_weights_are_those_of_the_labels_class() -> None:
    label = tf.constant([[0], [2], [1]], tf.int64)
    _, _, weights = RowWeights(None, (1.0, 2.0, 8.0)).apply({}, label)
    assert weights.numpy().tolist() == [1.0, 8.0, 2.0]
    features, _, both = RowWeights("w", (1.0, 2.0, 8.0)).apply({"w": tf.constant([[3.0], [0.5], [0.0]])}, label)
    assert (features, both.numpy().tolist()) == ({}, [3.0, 4.0, 0.0])


def test_without_weights_there_are_only_features_and_labels() -> None:
    assert len(RowWeights().apply({}, tf.constant([[0]]))) == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, ()), ({"rich": 3.0}, (1.0, 3.0)), ({"poor": 0.5, "rich": 2.0}, (0.5, 2.0))],
)
def test_given_class_weights_are_one_by_default(given: dict[str, float] | None, expected: tuple[float, ...]) -> None:
    table = small_table()
    assert row_weights(Training(class_weights=given), BINARY, [], table.graph) == RowWeights(None, expected)


def test_balanced_classes_have_the_same_sum_of_weights() -> None:
    table = small_table()
    files = [str(path) for path in sorted(table.folder.glob("examples*.gz"))]
    counts = [sum(row["colour"] == name for row in table.rows) for name in MULTICLASS.class_names]
    found = row_weights(Training(class_weights="balanced"), MULTICLASS, files, table.graph)
    assert found.classes == balanced(counts)
    sums = np.multiply(found.classes, counts)
    assert sums.tolist() == pytest.approx([sum(counts) / 3] * 3)
    assert balanced([4, 0, 4]) == (1.0, 1.0, 1.0)


def test_losses_of_training_and_validation_are_weighted() -> None:
    table = small_table()
    training = Training(steps=1, batch_size=20, class_weights={"poor": 5.0, "rich": 0.25})
    network = Network(hyperparameters={"hidden_units": 4})
    config = ModelConfig(problem=BINARY, network=network, training=training)
    model = build_network(BINARY, network.hyperparameters, categorical_sizes(BINARY.features, table.graph))
    result = fit(model, config, TrainingData(table.files, table.files, table.graph))
    [(features, labels)] = input_fn(table.files, table.graph, BINARY, 1000)
    probability = np.clip(model(features).numpy()[:, 0].astype(np.float64), 1e-7, 1 - 1e-7)
    is_rich = labels.numpy()[:, 0] == 1
    losses = np.where(is_rich, 0.25 * -np.log(probability), 5.0 * -np.log(1 - probability))
    assert result.state.history[0]["val_loss"] == pytest.approx(losses.mean(), rel=1e-4)
    plain = dataclasses.replace(config, training=dataclasses.replace(training, class_weights=None))
    other = build_network(BINARY, network.hyperparameters, categorical_sizes(BINARY.features, table.graph))
    unweighted = fit(other, plain, TrainingData(table.files, table.files, table.graph))
    assert unweighted.state.history[0]["loss"] != pytest.approx(result.state.history[0]["loss"], rel=0.1)
