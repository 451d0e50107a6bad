"""Several trainings of one model on rows in memory."""

import dataclasses
from typing import Literal

import numpy as np
import pytest
from small_table import A_FEW, BINARY, MULTICLASS, ROWS, UNSCALED, small_table

from models.problem.problem import Problem
from models.training.fitting import SharedRows, TrainingData, fit
from models.training.input import count_rows, read_table
from models.training.memory_table import MemoryTable
from models.training.steps import StepGraph
from models.training.trainer import build_model
from models.training.weights import RowWeights, row_weights
from models.training_settings import ModelConfig, Network, Training

TRAINING = Training(steps=30, batch_size=64, evaluate_every=10)


def table_of(problem: Problem, weights: RowWeights, every: int = 1) -> MemoryTable:
    table = small_table()
    return read_table(table.files, table.graph, problem, weights, every)


def test_columns_that_are_left_out_are_zero() -> None:
    table = table_of(BINARY, RowWeights())
    left = table.without({"gain_dense", "city_vocabulary"})
    for name in A_FEW.origins:
        same = np.array_equal(left.column(name), table.column(name))
        assert same == (name not in ("gain_dense", "city_vocabulary"))
        assert same or not np.any(left.column(name))
    features, label = left.split(left.gather(np.arange(5)))
    assert np.array_equal(label, table.split(table.gather(np.arange(5)))[1])
    assert not np.any(features["gain_dense"])


def test_rows_are_thinned_out() -> None:
    assert count_rows(small_table().files) == ROWS
    table = table_of(BINARY, RowWeights(), every=3)
    assert table.rows == 107
    np.testing.assert_array_equal(table.column("gain_dense"), table_of(BINARY, RowWeights()).column("gain_dense")[::3])


@pytest.mark.parametrize("problem", [BINARY, MULTICLASS, UNSCALED], ids=lambda problem: problem.task)
def test_trainings_that_share_a_graph_learn_the_same_as_one_from_files(problem: Problem) -> None:
    table = small_table()
    balanced: Literal["balanced"] | None = None if problem.task == "regression" else "balanced"
    config = ModelConfig(
        problem=problem,
        network=Network(hyperparameters={"hidden_units": 8}),
        training=dataclasses.replace(TRAINING, class_weights=balanced),
    )
    hyperparameters = config.network.hyperparameters
    files = TrainingData(table.files, table.files, table.graph)
    alone = build_model(config, hyperparameters, table.graph)
    expected = fit(alone, config, files)
    weights = row_weights(config.training, problem, [*map(str, table.folder.glob("examples*"))], table.graph)
    rows = table_of(problem, weights)
    shared = SharedRows(rows, rows, weights, StepGraph())
    model = build_model(config, hyperparameters, table.graph)
    initial = model.get_weights()
    model.optimizer.build(model.trainable_variables)
    optimizer = [variable.numpy() for variable in model.optimizer.variables]
    for without in ({"gain_dense"}, set[str]()):
        model.set_weights(initial)
        for variable, value in zip(model.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        left = rows.without(without)
        data = dataclasses.replace(files, shared=dataclasses.replace(shared, train=left, validation=left))
        found = fit(model, config, data)
        losses = [[round(row["val_loss"], 6) for row in result.state.history] for result in (expected, found)]
        assert (losses[0] == losses[1]) == (not without)
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
