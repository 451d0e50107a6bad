"""``tuner_fn``: what the Tuner runs."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras_tuner
import tensorflow_transform as tft
import tf_keras as keras

from common import progress
from models.distributed.cluster import HOST
from models.distributed.peers import listening, meet, reach
from models.distributed.processes import Child, Children, Losses, WorkerError, poll, share_of_gpus
from models.distributed.strategy import make_strategy
from models.distributed.task import ALONE, this_task
from models.job import Job
from models.settings import ModelConfig, Range
from models.training.callbacks import WATCHED, DivergedError
from models.training.fitting import Rows, fit
from models.training.input import check_label
from models.training.trainer import build, scaled
from models.tuning.oracle_server import ADDRESS, PORT, WHO, answering
from models.tuning.vizier import VizierOracle

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs
    from tfx.components.tuner.component import TunerFnResult

OBJECTIVE = keras_tuner.Objective(WATCHED, "min")
PROJECT = "search"
COMPLETED = keras_tuner.engine.trial.TrialStatus.COMPLETED
SPACE_HINT = "one at least that does not; lower the learning rates of tuning.search"
FOR_SEVERAL = ("multi_worker", "parameter_server")


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
        strategy = config.training.strategy
        self._strategy = make_strategy("auto" if strategy in FOR_SEVERAL else strategy, ALONE)

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Runs all trials, here, in several processes, or in those of the cluster that ``TF_CONFIG`` names.

        Raises:
            DivergedError: All trials diverged.
            WorkerError: See :func:`run_tuners`.
        """
        workers = self._config.tuning.workers if self._config.tuning else 1
        task = this_task()
        if WHO in os.environ:
            super().search(*args, **kwargs)
            return
        if isinstance(self.oracle, VizierOracle):
            super().search(*args, **kwargs)
            self.oracle.wait_for_all()
        elif task.peers:
            meet(task)
            with answering(self.oracle, task.port) as (_, servicer):
                super().search(*args, **kwargs)
                servicer.wait_for({peer.name for peer in task.peers})
        elif workers == 1:
            super().search(*args, **kwargs)
        else:
            run_tuners(self._job, self.oracle, workers)
        if not any(trial.status == COMPLETED for trial in self.oracle.trials.values()):
            raise DivergedError(f"all {len(self.oracle.trials)} trials diverged; expected {SPACE_HINT}")

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Trains with the trial's hyperparameters; returns the lowest validation loss.

        A trial that diverges counts as failed and the search goes on; any other error ends it, since the next trial
        would meet the same code and data.
        """
        hyperparameters = {**self._config.network.hyperparameters, **trial.hyperparameters.values}
        shown = _shown(trial.hyperparameters.values)
        # The batch is that of the training to come, and so has to be the learning rate.
        training = self._config.training
        replicas = training.workers * self._strategy.num_replicas_in_sync
        hyperparameters = scaled(hyperparameters, training.learning_rate_scaling, replicas)
        rows = Rows(self._job.train_files, self._job.validation_files, self._transform_output)
        try:
            with self._strategy.scope():
                model = build(self._config, hyperparameters, self._transform_output)
            lowest = fit(model, self._config, rows).state.best
        except DivergedError as error:
            progress.report(f"trial {trial.trial_id}: diverged, {shown}")
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        finally:
            keras.backend.clear_session()
        progress.report(f"trial {trial.trial_id}: {WATCHED} {lowest:.4g}, {shown}")
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
        ValueError: The training split cannot be learnt from; see :func:`models.training.input.check_label`.
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
    given = {
        "objective": OBJECTIVE,
        "max_trials": config.tuning.trials,
        "hyperparameters": search_space(config.tuning.search),
        "allow_new_entries": False,
        "max_consecutive_failed_trials": config.tuning.trials + 1,  # never: they are counted at the end
        "seed": config.training.seed + 1,  # keras-tuner takes 0 as "any"
    }
    match config.tuning.algorithm:
        case "bayesian":
            oracle = keras_tuner.oracles.BayesianOptimizationOracle(**given)
        case "random":
            oracle = keras_tuner.oracles.RandomSearchOracle(**given)
        case "vizier":
            oracle = VizierOracle(config.study or "", this_task().name, config.tuning.search, **given)
    return NetworkTuner(job, oracle=oracle, directory=directory, project_name=PROJECT)


def run_tuners(job: Job, oracle: keras_tuner.engine.oracle.Oracle, workers: int) -> None:
    """Runs the trials of an oracle in as many processes; a trial whose process is killed is run again.

    Raises:
        WorkerError: A trial failed for a reason that the next one would meet too, or they are killed again and again.
    """
    losses = Losses(lambda: len(oracle.end_order))
    with answering(oracle) as (port, _), Children(job) as children:

        def start(index: int) -> Child:
            who = {ADDRESS: HOST, PORT: str(port), WHO: f"tuner {index}"}
            return children.start(who[WHO], "tune", {**who, **share_of_gpus(index, workers)})

        running = [start(index) for index in range(workers)]
        for _ in poll():
            if all(child.code == 0 for child in running):
                return
            for index, child in enumerate(running):
                if child.failure:
                    raise WorkerError(f"{child.name}: {child.failure[1]}")
                if child.code:
                    losses.add(child)
                    progress.report("was lost and is replaced", child.name)
                    running[index] = start(index)


def run_trials(job: Job, directory: str) -> None:
    """Runs trials that the oracle of another process gives, until it has no more.

    Args:
        job: What is tuned.
        directory: For its notes.

    Raises:
        FatalError: A trial failed for a reason that the next one would meet too.
        TimeoutError: Others of the cluster do not come.
    """
    task, config = this_task(), ModelConfig.from_config(job.config)
    asks_chief = config.tuning and config.tuning.algorithm != "vizier"
    with contextlib.ExitStack() as stack:
        if task.peers and asks_chief and WHO not in os.environ:
            [chief] = [peer for peer in task.peers if peer.is_chief]
            stack.enter_context(listening(task))  # to the end: the chief looks for it
            reach([chief])
            host, _, port = chief.address.rpartition(":")
            os.environ.update({ADDRESS: host, PORT: port, WHO: task.name})
        # Without what the chief does at the end.
        keras_tuner.engine.base_tuner.BaseTuner.search(make_tuner(job, directory))


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
