import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from conftest import ROOT
from small_table import BINARY, IN_FULL, PROBLEMS, REGRESSION, ROWS, small_table
from tfx.components.trainer.fn_args_utils import FnArgs
from training_job import assert_same_weights, training_job

from models.distributed.task import SINGLE_PROCESS
from models.job import Job
from models.problem.problem import Problem
from models.run_fn import run_fn
from models.training.callbacks import DivergedError
from models.training.fitting import TrainingData, fit
from models.training.input import input_fn
from models.training.state import TrainingState
from models.training.trainer import build_model, scale_learning_rate, train
from models.training_settings import ModelConfig, Network, Scalar, Training

QUICK: dict[str, Scalar] = {"hidden_units": 8, "learning_rate": 0.05}
TRAINING = Training(steps=20, batch_size=64, evaluate_every=5)


def config_of(problem: Problem, hyperparameters: Any = QUICK, **training: Any) -> ModelConfig:
    return ModelConfig(
        problem=problem,
        network=Network(hyperparameters=hyperparameters),
        training=dataclasses.replace(TRAINING, **training),
    )


def trained(config: ModelConfig) -> tuple[keras.Model, TrainingState]:
    table = small_table()
    model = build_model(config, config.network.hyperparameters, table.graph)
    return model, fit(model, config, TrainingData(table.files, table.files, table.graph)).state


def losses_of(state: TrainingState) -> list[float]:
    return [row["val_loss"] for row in state.history]


@pytest.mark.parametrize("task", sorted(PROBLEMS))
def test_a_few_steps_lower_the_loss(task: str) -> None:
    _, state = trained(config_of(PROBLEMS[task]))  # type: ignore[index]
    assert [row["step"] for row in state.history] == [5, 10, 15, 20]
    assert losses_of(state)[-1] < losses_of(state)[0]


def test_training_stops_early_and_keeps_the_best_weights() -> None:
    config = config_of(BINARY, {"learning_rate": 3.0, "hidden_units": 8}, steps=200, patience=2)
    model, state = trained(config)
    losses = losses_of(state)
    assert len(losses) == losses.index(min(losses)) + 1 + 2 < 40
    validation = input_fn(small_table().files, small_table().graph, BINARY, 1024)
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize(("cache", "times"), [("memory", 1), ("auto", 1), ("none", 4)])
def test_cached_validation_rows_are_read_once(monkeypatch: pytest.MonkeyPatch, cache: str, times: int) -> None:
    read: list[int] = []

    def noted(label: tf.Tensor) -> tf.Tensor:
        read.append(len(label))
        return label

    def counted(*arguments: Any, **named: Any) -> tf.data.Dataset:
        batches = input_fn(*arguments, **named)
        shape = batches.element_spec[1].shape

        def note(features: dict[str, tf.Tensor], label: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            return features, tf.ensure_shape(tf.py_function(noted, [label], label.dtype), shape)

        return batches.map(note)

    monkeypatch.setattr("models.training.fitting.input_fn", counted)
    _, state = trained(config_of(BINARY, cache=cache))
    assert len(state.history) == 4
    assert read == [ROWS] * times


@pytest.mark.parametrize(("steps", "evaluate_every", "evaluated"), [(3, 100, [3]), (6, 2, [2, 4, 6]), (7, 5, [5, 7])])
def test_all_steps_are_taken_and_the_last_is_evaluated(steps: int, evaluate_every: int, evaluated: list[int]) -> None:
    model, state = trained(config_of(BINARY, steps=steps, evaluate_every=evaluate_every))
    assert model.optimizer.iterations == steps == state.step
    assert [row["step"] for row in state.history] == evaluated


def test_a_nan_loss_is_an_error_with_a_fix(tmp_path: Path) -> None:
    config, graph = config_of(REGRESSION), small_table().graph
    files = small_table().write(tmp_path / "examples.gz", [{"gain": 1.0, "amount": None}, *small_table().rows[:9]])
    model = build_model(config, QUICK, graph)
    with pytest.raises(
        DivergedError, match=r"training produced NaN or infinite values; lower network\.hyperparameters\.learning_rate"
    ):
        fit(model, config, TrainingData(files, files, graph))


@pytest.mark.parametrize("task", sorted(PROBLEMS))
def test_diverging_training_is_an_error(task: str) -> None:
    with pytest.raises(DivergedError):
        trained(config_of(PROBLEMS[task], {"learning_rate": 1e38}))  # type: ignore[index]


def test_the_seed_sets_the_initial_weights() -> None:
    first, again, other = (build_model(config_of(BINARY, seed=seed), QUICK, small_table().graph) for seed in (1, 1, 2))
    kernel = [model.get_layer("hidden_0").get_weights()[0] for model in (first, again, other)]
    np.testing.assert_array_equal(kernel[0], kernel[1])
    assert (kernel[0] != kernel[2]).any()


def test_the_same_seed_trains_the_same_model() -> None:
    first, again = (trained(config_of(BINARY, {**QUICK, "dropout": 0.5}, steps=5))[0] for _ in range(2))
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("tuned", "chosen"),
    [
        (None, {"dropout": 0.1, "hidden_units": 4}),
        ({}, {"dropout": 0.1, "hidden_units": 4}),
        ({"values": {"dropout": 0.3}}, {"dropout": 0.3, "hidden_units": 4}),
        ({"values": {"l2": 0.2}}, {"dropout": 0.1, "hidden_units": 4, "l2": 0.2}),
    ],
)
def test_tuned_hyperparameters_override_the_configured_ones(tmp_path: Path, tuned: Any, chosen: dict[str, Any]) -> None:
    config = config_of(BINARY, {"dropout": 0.1, "hidden_units": 4})
    assert Job.from_fn_args(fn_args(tmp_path, config, [], tuned)).hyperparameters == chosen


def fn_args(folder: Path, config: ModelConfig, files: list[str], tuned: Any = None) -> FnArgs:
    return FnArgs(
        train_files=files,
        eval_files=files,
        transform_output=small_table().graph_dir,
        serving_model_dir=str(folder / "serving"),
        model_run_dir=str(folder / "run"),
        hyperparameters=tuned,
        custom_config=config.to_config(),
    )


def test_run_fn_writes_a_model_its_history_and_its_hyperparameters(tmp_path: Path) -> None:
    config = config_of(IN_FULL["regression"], steps=10)
    run_fn(fn_args(tmp_path, config, small_table().files, {"values": {"hidden_units": 4}}))
    header, *lines = (tmp_path / "run/history.csv").read_text().splitlines()
    assert set(header.split(",")) == {"step", "loss", "mae", "val_loss", "val_mae"}
    assert len(lines) == 2
    assert json.loads((tmp_path / "run/hyperparameters.json").read_text()) == {**QUICK, "hidden_units": 4}
    training = json.loads((tmp_path / "run/training.json").read_text())
    assert (training["workers"], training["replicas"], training["steps"]) == (1, 1, 10)
    assert training["steps_per_second"] > 0
    assert 0 <= training["input_wait"] < 1
    assert {path.name for path in (tmp_path / "run/tensorboard").iterdir()} == {"train", "validation"}
    assert training["logs"] == str(tmp_path / "run/tensorboard")
    assert training["strategy"] == "one_device"
    assert not (tmp_path / "run/state.npz").exists()
    served = tf.saved_model.load(str(tmp_path / "serving")).signatures["serving_default"]
    assert math.isfinite(served(tf.constant([b""]))["predictions"][0, 0])


def test_run_fn_rejects_a_constant_label_before_it_writes_anything(tmp_path: Path) -> None:
    files = small_table().write(tmp_path / "examples.gz", [{"amount": 1.0}] * 3)
    with pytest.raises(ValueError, match="at least two values"):
        run_fn(fn_args(tmp_path, config_of(BINARY), files))
    assert [path.name for path in tmp_path.iterdir()] == ["examples.gz"]


@pytest.mark.parametrize(
    ("optimizer", "found"),
    [(None, "an optimizer <class 'NoneType'>"), (keras.optimizers.legacy.Adam(), "an optimizer .*legacy")],
)
def test_a_network_that_cannot_be_trained_is_an_error(
    monkeypatch: pytest.MonkeyPatch, optimizer: Any, found: str
) -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    if optimizer:
        model.compile(optimizer, "mse")
    monkeypatch.setattr("models.network.build_network", lambda *_: model)
    with pytest.raises(
        ValueError, match=rf"network\.function: models\.network\.build_network returned {found}.*; expected"
    ):
        build_model(config_of(BINARY), QUICK, small_table().graph)
    monkeypatch.setattr("models.network.build_network", lambda *_: "a network")
    with pytest.raises(ValueError, match=r"returned <class 'str'>; expected a tf_keras\.Model, compiled"):
        build_model(config_of(BINARY), QUICK, small_table().graph)


def test_a_network_with_another_output_is_rejected_before_training() -> None:
    config = dataclasses.replace(
        config_of(BINARY), network=Network(function="own_networks.too_wide", hyperparameters=QUICK)
    )
    with pytest.raises(
        ValueError, match=r"own_networks.too_wide has the output \(None, 3\); expected one output \[N, 1\]"
    ):
        build_model(config, QUICK, small_table().graph)


def test_an_unbuilt_network_is_built(tmp_path: Path) -> None:
    config = dataclasses.replace(
        config_of(IN_FULL["binary"], steps=5),
        network=Network(function="own_networks.subclassed", hyperparameters=QUICK),
    )
    run_fn(fn_args(tmp_path, config, small_table().files))
    assert (tmp_path / "serving/saved_model.pb").exists()


def test_an_empty_validation_split_is_an_error(tmp_path: Path) -> None:
    config, table = config_of(BINARY), small_table()
    files = table.write(tmp_path / "examples.gz", [])
    model = build_model(config, QUICK, table.graph)
    with pytest.raises(
        ValueError, match=r"found no val_loss after the evaluation .* expected rows in that split \(data\.splits\)"
    ):
        fit(model, config, TrainingData(table.files, files, table.graph))


@pytest.mark.parametrize("interval", [7, 16, 37])
def test_each_step_is_taken_once_at_any_evaluation_interval(interval: int) -> None:
    one, other = (
        trained(config_of(BINARY, steps=2 * interval, evaluate_every=every, patience=99))
        for every in (interval, 2 * interval)
    )
    assert [row["step"] for row in one[1].history] == [interval, 2 * interval]
    assert one[1].history[-1]["val_loss"] == pytest.approx(other[1].history[-1]["val_loss"], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)])
def test_the_learning_rate_is_scaled_as_configured(scaling: str, factor: float) -> None:
    assert scale_learning_rate({"learning_rate": 0.5, "l2": 0.1}, scaling, 4) == {
        "learning_rate": 0.5 * factor,
        "l2": 0.1,
    }


def test_scaling_needs_a_learning_rate() -> None:
    with pytest.raises(ValueError, match=r"found no number in network\.hyperparameters\.learning_rate; expected one"):
        scale_learning_rate({"rate": 0.5}, "linear", 2)


@pytest.mark.slow
def test_two_replicas_train_the_same_model_as_one(tmp_path: Path) -> None:
    """With one CPU split into two logical devices, in a separate process."""
    code = (
        "import tensorflow as tf; cpu = tf.config.list_physical_devices('CPU')[0];"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2);"
        "from models.distributed import strategy, task; made = tf.distribute.MirroredStrategy;"
        "tf.distribute.MirroredStrategy = lambda: made(['CPU:0', 'CPU:1']);"
        "import sys; from pathlib import Path; from models.job import Job; from models.training.trainer import train;"
        "train(Job.read(Path(sys.argv[1])), task.SINGLE_PROCESS)"
    )
    one, two = training_job(tmp_path / "one", steps=40), training_job(tmp_path / "two", steps=40, strategy="mirrored")
    train(one, SINGLE_PROCESS)
    two.write(tmp_path / "job.json")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "job.json")], check=True, cwd=ROOT)
    assert json.loads(Path(two.in_run_dir("training.json")).read_text())["replicas"] == 2
    assert_same_weights(two, one)
