"""``tuner_fn``: what the Tuner runs."""

import dataclasses
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import keras_tuner
import tensorflow_transform as tft
import tf_keras as keras
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from models import progress
from models.cluster import HOST
from models.fitting import Rows, fit
from models.input import check_label
from models.job import Job
from models.processes import Child, Children, Losses, WorkerError, looks
from models.rounds import WATCHED, DivergedError
from models.settings import ModelConfig, Range
from models.strategy import ALONE, make_strategy
from models.trainer import build

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs
    from tfx.components.tuner.component import TunerFnResult

OBJECTIVE = keras_tuner.Objective(WATCHED, "min")
PROJECT = "search"
# keras-tuner's own names; a worker finds the oracle by them.
ADDRESS, PORT, WHO = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID"


class NetworkTuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Trains one network a trial.

    keras-tuner builds Keras 3 models; overriding ``run_trial`` is its documented way to train another kind.
    """

    def __init__(self, job: Job, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._job = job
        config = ModelConfig.from_config(job.config)
        assert config.tuning is not None
        steps = config.tuning.steps
        self._config = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=steps))
        self._transform_output = tft.TFTransformOutput(job.transform_graph)
        self._strategy = make_strategy("auto", ALONE)

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Runs all trials, here or in several processes."""
        workers = self._config.tuning.workers if self._config.tuning else 1
        if workers == 1 or WHO in os.environ:
            super().search(*args, **kwargs)
        else:
            run_tuners(self._job, self.oracle, workers)

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Trains with the trial's hyperparameters; returns the lowest validation loss.

        A trial that diverges counts as failed and the search goes on; any other error ends it, since the next trial
        would meet the same code and data.
        """
        hyperparameters = {**self._config.network.hyperparameters, **trial.hyperparameters.values}
        rows = Rows(self._job.train_files, self._job.validation_files, self._transform_output)
        try:
            with self._strategy.scope():
                model = build(self._config, hyperparameters, self._transform_output)
            lowest = fit(model, self._config, rows).state.best
        except DivergedError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        finally:
            keras.backend.clear_session()
        progress.report(f"trial {trial.trial_id}: {WATCHED} {lowest:.4g}, {_shown(trial.hyperparameters.values)}")
        return {OBJECTIVE.name: lowest}

    def save_model(self, trial_id: str, model: keras.Model, step: int = 0) -> None:
        """Keeps nothing: the Trainer trains the best trial's network in full."""

    def load_model(self, trial: keras_tuner.engine.trial.Trial) -> keras.Model:
        """Raises, since no model is kept."""
        raise NotImplementedError("the Tuner keeps hyperparameters, not models; the Trainer makes the model")


def tuner_fn(fn_args: "FnArgs") -> "TunerFnResult":
    """Prepares the search for the hyperparameters with the lowest validation loss.

    Args:
        fn_args: From TFX: ``train_files`` and ``eval_files`` (transformed examples), ``transform_graph_path``,
            ``working_dir``, and ``custom_config`` (a :class:`models.settings.ModelConfig`).

    Raises:
        ValueError: The training split cannot be learnt from; see :func:`models.input.check_label`.
    """
    from tfx.components.tuner.component import TunerFnResult  # noqa: PLC0415 - seconds, which no worker pays

    job = Job.from_fn_args(fn_args)
    config = ModelConfig.from_config(job.config)
    check_label(job.train_files, tft.TFTransformOutput(job.transform_graph), config.problem)
    return TunerFnResult(tuner=make_tuner(job, fn_args.working_dir), fit_kwargs={})


def make_tuner(job: Job, directory: str) -> NetworkTuner:
    """A tuner, whose state is kept in a folder."""
    config = ModelConfig.from_config(job.config)
    assert config.tuning is not None
    kind = {
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "random": keras_tuner.oracles.RandomSearchOracle,
    }
    oracle = kind[config.tuning.algorithm](
        objective=OBJECTIVE,
        max_trials=config.tuning.trials,
        hyperparameters=search_space(config.tuning.search),
        allow_new_entries=False,
        seed=config.training.seed + 1,  # keras-tuner takes 0 as "any"
    )
    return NetworkTuner(job, oracle=oracle, directory=directory, project_name=PROJECT)


def run_tuners(job: Job, oracle: keras_tuner.engine.oracle.Oracle, workers: int) -> None:
    """Runs the trials of an oracle in as many processes; a trial whose process is killed is run again.

    Raises:
        WorkerError: A trial failed for a reason that the next one would meet too, or they are killed again and again.
    """
    losses = Losses(lambda: len(oracle.end_order))
    with _answering(oracle) as port, Children(job) as children:

        def start(name: str) -> Child:
            return children.start(name, "tune", {ADDRESS: HOST, PORT: str(port), WHO: name})

        running = {name: start(name) for name in (f"tuner {index}" for index in range(workers))}
        for _ in looks():
            if all(child.code == 0 for child in running.values()):
                return
            for name, child in running.items():
                if child.failure:
                    raise WorkerError(f"{name}: {child.failure[1]}")
                if child.code:
                    losses.add(name)
                    progress.report("was lost and is replaced", name)
                    running[name] = start(name)


def run_trials(job: Job) -> None:
    """Runs trials that the oracle of another process gives, until it has no more."""
    with tempfile.TemporaryDirectory(prefix="tuner") as folder:
        make_tuner(job, folder).search()


@contextmanager
def _answering(oracle: keras_tuner.engine.oracle.Oracle) -> Iterator[int]:
    """Answers the workers' questions for an oracle on a port of this machine."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def search_space(search: dict[str, Range]) -> keras_tuner.HyperParameters:
    """The YAML's search space in keras-tuner's terms."""
    space = keras_tuner.HyperParameters()
    for name, choice in search.items():
        if choice.values is not None:
            space.Choice(name, choice.choices)
        elif isinstance(choice.min, int) and isinstance(choice.max, int):
            space.Int(name, choice.min, choice.max, sampling=choice.sampling)
        else:
            space.Float(name, choice.min, choice.max, sampling=choice.sampling)
    return space


def _shown(values: Mapping[str, Any]) -> str:
    texts = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())
