from pathlib import Path
from typing import Any

import keras_tuner
import psutil
import pytest
from small_table import BINARY, small_table
from tfx.components.trainer.fn_args_utils import FnArgs

from common import progress
from models.distributed.processes import WorkerError
from models.training.callbacks import DivergedError
from models.training.trainer import build_model
from models.training_settings import ModelConfig, Network, Range, Training, Tuning
from models.tuning.oracle_server import TUNER_ID
from models.tuning.tuner import search_space, tuner_fn

SEARCH = {
    "hidden_units": Range(min=2, max=9),
    "learning_rate": Range(min=0.001, max=0.1, sampling="log"),
    "dropout": Range(values=(0.0, 0.25)),
}


def test_the_search_space_of_keras_tuner() -> None:
    units, rate, dropout = search_space(SEARCH).space
    assert isinstance(units, keras_tuner.engine.hyperparameters.Int)
    assert (units.name, units.min_value, units.max_value, units.sampling) == ("hidden_units", 2, 9, "linear")
    assert isinstance(rate, keras_tuner.engine.hyperparameters.Float)
    assert (rate.name, rate.min_value, rate.max_value, rate.sampling) == ("learning_rate", 0.001, 0.1, "log")
    assert isinstance(dropout, keras_tuner.engine.hyperparameters.Choice)
    assert (dropout.name, dropout.values) == ("dropout", [0.0, 0.25])


def test_an_interval_with_one_float_bound_is_a_float_range() -> None:
    (rate,) = search_space({"rate": Range(min=0, max=0.5)}).space
    assert isinstance(rate, keras_tuner.engine.hyperparameters.Float)


def test_choices_are_floats_if_one_of_them_is_a_float() -> None:
    (rate,) = search_space({"rate": Range(values=(0, 0.5))}).space
    assert [type(value) for value in rate.values] == [float, float]


def fn_args(folder: Path, files: list[str], hyperparameters: dict[str, Any], **tuning: Any) -> FnArgs:
    config = ModelConfig(
        problem=BINARY,
        network=Network(hyperparameters=hyperparameters),
        training=Training(batch_size=64),
        tuning=Tuning(**{"trials": 2, "steps": 4, "search": SEARCH, **tuning}),
    )
    return FnArgs(
        train_files=files,
        eval_files=files,
        transform_graph_path=small_table().graph_dir,
        working_dir=str(folder),
        custom_config=config.to_config(),
    )


@pytest.fixture(scope="module", params=["bayesian", "random"])
def searches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The tuners of two equal searches."""
    tuners = []
    for _ in range(2):
        folder, files = tmp_path_factory.mktemp("search"), small_table().files
        found = tuner_fn(fn_args(folder, files, {"hidden_layers": 1}, algorithm=request.param))
        found.tuner.search(**found.fit_kwargs)
        tuners.append(found.tuner)
    return tuners


def test_a_search_finds_hyperparameters_inside_the_space(searches: list[Any]) -> None:
    tuner = searches[0]
    trials = tuner.oracle.get_best_trials(5)
    assert len(trials) == 2
    assert trials[0].score <= trials[1].score
    best = tuner.get_best_hyperparameters()[0].values
    assert best == trials[0].hyperparameters.values
    assert set(best) == set(SEARCH)
    assert 2 <= best["hidden_units"] <= 9
    assert 0.001 <= best["learning_rate"] <= 0.1
    assert best["dropout"] in (0.0, 0.25)


def test_a_retried_search_has_its_trials_and_another_search_does_not(searches: list[Any]) -> None:
    tuner = searches[0]
    algorithm = "random" if isinstance(tuner.oracle, keras_tuner.oracles.RandomSearchOracle) else "bayesian"
    retried, other = (
        tuner_fn(fn_args(Path(tuner.directory), small_table().files, {"hidden_layers": layers}, algorithm=algorithm))
        for layers in (1, 2)
    )
    assert retried.tuner.oracle.trials.keys() == tuner.oracle.trials.keys()
    assert not other.tuner.oracle.trials


def test_a_search_is_the_same_each_time(searches: list[Any]) -> None:
    one, other = (
        [(trial.score, trial.hyperparameters.values) for trial in tuner.oracle.get_best_trials(5)] for tuner in searches
    )
    assert one == other


@pytest.mark.slow
def test_several_processes_search_and_a_killed_trial_runs_again(tmp_path: Path) -> None:
    arguments = fn_args(tmp_path, small_table().files, {"hidden_layers": 1}, workers=2, trials=4, steps=8)
    found = tuner_fn(arguments)
    seen: list[tuple[str, str]] = []
    killed: list[str] = []

    def listen(source: str, line: str) -> None:
        seen.append((source, line))
        if line.startswith("step ") and not killed:
            killed.append(source)
            [child] = [each for each in psutil.Process().children() if each.environ().get(TUNER_ID) == source]
            child.kill()

    with progress.listening(listen):
        found.tuner.search(**found.fit_kwargs)
    assert {source for source, line in seen if line.startswith("trial ")} == {"tuner 0", "tuner 1"}
    assert [source for source, line in seen if line == "was lost; starting a replacement"] == killed
    trials = found.tuner.oracle.get_best_trials(9)
    assert len(trials) == 4
    assert [trial.score for trial in trials] == sorted(trial.score for trial in trials)
    assert found.tuner.get_best_hyperparameters()[0].values == trials[0].hyperparameters.values


@pytest.mark.slow
def test_the_error_of_a_tuner_process_is_raised(tmp_path: Path) -> None:
    found = tuner_fn(fn_args(tmp_path, small_table().files, {"no_such": 1}, workers=2))
    with pytest.raises(WorkerError, match=r"^tuner [01]: "):
        found.tuner.search(**found.fit_kwargs)


def test_a_diverging_trial_does_not_end_the_search(tmp_path: Path) -> None:
    search = {"learning_rate": Range(values=(0.01, 1e38))}
    found = tuner_fn(fn_args(tmp_path, small_table().files, {}, search=search, algorithm="random"))
    found.tuner.search(**found.fit_kwargs)
    assert sorted(trial.status for trial in found.tuner.oracle.trials.values()) == ["COMPLETED", "FAILED"]
    assert found.tuner.get_best_hyperparameters()[0].values == {"learning_rate": 0.01}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_fails_if_all_trials_diverge(tmp_path: Path, workers: int) -> None:
    search = {"learning_rate": Range(values=(1e37, 1e38))}
    found = tuner_fn(fn_args(tmp_path, small_table().files, {}, search=search, algorithm="random", workers=workers))
    seen: list[str] = []
    with (
        progress.listening(lambda _, line: seen.append(line)),
        pytest.raises(
            DivergedError, match=r"all 2 trials diverged; expected .* lower the learning rates of tuning\.search"
        ),
    ):
        found.tuner.search(**found.fit_kwargs)
    assert [line for line in seen if line.startswith("trial 0: diverged, learning_rate 1e+3")]


def test_trials_scale_the_learning_rate_as_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = fn_args(tmp_path, small_table().files, {}, search={"learning_rate": Range(values=(0.01,))}, trials=1)
    arguments.custom_config["training"].update(learning_rate_scaling="linear", workers=2)
    built: list[Any] = []

    def recording(config: ModelConfig, hyperparameters: Any, graph: Any) -> Any:
        built.append(hyperparameters["learning_rate"])
        return build_model(config, hyperparameters, graph)

    monkeypatch.setattr("models.tuning.tuner.build_model", recording)
    found = tuner_fn(arguments)
    found.tuner.search(**found.fit_kwargs)
    assert built == [0.02]


def test_a_network_that_cannot_be_built_ends_the_search(tmp_path: Path) -> None:
    found = tuner_fn(fn_args(tmp_path, small_table().files, {"hidden_layer": 1}))
    with pytest.raises(keras_tuner.errors.FatalError, match="hidden_layer"):
        found.tuner.search(**found.fit_kwargs)


def test_a_constant_label_is_rejected_before_the_search(tmp_path: Path) -> None:
    files = small_table().write(tmp_path / "examples.gz", [{"amount": 1.0}] * 3)
    with pytest.raises(ValueError, match="at least two values"):
        tuner_fn(fn_args(tmp_path, files, {}))
