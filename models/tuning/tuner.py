"""``tuner_fn``, the entry point that TFX's Tuner calls, and the tuner that trains one network per trial."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras_tuner
import tensorflow_transform as tft
import tf_keras as keras

from common import progress
from models.distributed.peers import listen_on_task_port, wait_for_peers, wait_until_reachable
from models.distributed.processes import (
    LossLimit,
    WorkerError,
    WorkerGroup,
    WorkerProcess,
    gpu_environment,
    poll,
)
from models.distributed.strategy import make_strategy
from models.distributed.supervisor import LOCALHOST
from models.distributed.task import SINGLE_PROCESS, this_task
from models.job import Job
from models.training.callbacks import MONITOR, DivergedError
from models.training.fitting import TrainingData, fit
from models.training.job_digest import job_digest
from models.training.label_check import check_label
from models.training.trainer import build_model, scale_learning_rate
from models.training_settings import Range, Tuning
from models.tuning.oracle_server import ORACLE_ADDRESS, ORACLE_PORT, TUNER_ID, serve_oracle
from models.tuning.vizier import VizierOracle

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs
    from tfx.components.tuner.component import TunerFnResult

OBJECTIVE = keras_tuner.Objective(MONITOR, "min")
PROJECT = "search"
COMPLETED = keras_tuner.engine.trial.TrialStatus.COMPLETED
DISTRIBUTED_STRATEGIES = ("multi_worker", "parameter_server")


class NetworkTuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Trains one network per trial.

    keras-tuner builds Keras 3 models. Overriding ``run_trial`` is its documented way to train other models.
    """

    def __init__(self, job: Job, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._job = job
        self._tuning = _tuning(job)
        training = job.config.training
        self._config = dataclasses.replace(job.config, training=dataclasses.replace(training, steps=self._tuning.steps))
        self._transform_output = tft.TFTransformOutput(job.transform_graph)
        strategy = "auto" if training.strategy in DISTRIBUTED_STRATEGIES else training.strategy
        self._strategy = make_strategy(strategy, SINGLE_PROCESS)

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Runs all trials: in this process, in several local ones, or in the cluster that ``TF_CONFIG`` names.

        Raises:
            DivergedError: All trials diverged.
            WorkerError: See :func:`run_tuners`.
        """
        task = this_task()
        if TUNER_ID in os.environ:
            super().search(*args, **kwargs)
            return
        if isinstance(self.oracle, VizierOracle):
            super().search(*args, **kwargs)
            self.oracle.wait_for_all()
        elif task.peers:
            wait_for_peers(task)
            with serve_oracle(self.oracle, task.port) as (_, servicer):
                super().search(*args, **kwargs)
                servicer.wait_for({peer.name for peer in task.peers})
        elif self._tuning.workers == 1:
            super().search(*args, **kwargs)
        else:
            run_tuners(self._job, self.oracle, self._tuning.workers)
        if not any(trial.status == COMPLETED for trial in self.oracle.trials.values()):
            raise DivergedError(
                f"all {len(self.oracle.trials)} trials diverged; expected at least one that does not, so lower the "
                "learning rates of tuning.search"
            )

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Trains with the hyperparameters of a trial, and returns the lowest validation loss.

        If a trial diverges, it fails and the search continues. Any other error ends the search, because the next trial
        would run into it too.
        """
        values = trial.hyperparameters.values
        shown = _format(values)
        # Scaled as in the Trainer, which has the same batch size.
        training = self._config.training
        replicas = training.workers * self._strategy.num_replicas_in_sync
        hyperparameters = scale_learning_rate(
            {**self._config.network.hyperparameters, **values}, training.learning_rate_scaling, replicas
        )
        data = TrainingData(self._job.train_files, self._job.validation_files, self._transform_output)
        try:
            with self._strategy.scope():
                model = build_model(self._config, hyperparameters, self._transform_output)
            best_loss = fit(model, self._config, data).state.best_loss
        except DivergedError as error:
            progress.report(f"trial {trial.trial_id}: diverged, {shown}")
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        finally:
            keras.backend.clear_session()
        progress.report(f"trial {trial.trial_id}: {MONITOR} {best_loss:.4g}, {shown}")
        return {OBJECTIVE.name: best_loss}

    def save_model(self, trial_id: str, model: keras.Model, step: int = 0) -> None:
        """Does nothing: the Trainer trains the network of the best trial in full."""

    def load_model(self, trial: keras_tuner.engine.trial.Trial) -> keras.Model:
        """Raises NotImplementedError, since no model is saved."""
        raise NotImplementedError("the Tuner saves hyperparameters, not models; the Trainer trains the model")


def tuner_fn(fn_args: "FnArgs") -> "TunerFnResult":
    """Prepares the search for the hyperparameters with the lowest validation loss.

    Args:
        fn_args: From TFX: ``train_files`` and ``eval_files`` (transformed examples), ``transform_graph_path``,
            ``working_dir``, and ``custom_config`` (a :class:`models.training_settings.ModelConfig`).

    Raises:
        ValueError: The label of the training split is constant. See :func:`models.training.label_check.check_label`.
    """
    from tfx.components.tuner.component import TunerFnResult  # noqa: PLC0415 - takes seconds, which no worker needs

    job = Job.from_fn_args(fn_args)
    check_label(job.train_files, tft.TFTransformOutput(job.transform_graph), job.config.problem)
    return TunerFnResult(tuner=make_tuner(job, fn_args.working_dir), fit_kwargs={})


def make_tuner(job: Job, directory: str) -> NetworkTuner:
    """Makes a tuner that keeps its state in a folder.

    A retried search finds its trials there. keras-tuner would also continue another search in the same folder.
    """
    tuning = _tuning(job)
    arguments = {
        "objective": OBJECTIVE,
        "max_trials": tuning.trials,
        "hyperparameters": search_space(tuning.search),
        "allow_new_entries": False,
        "max_consecutive_failed_trials": tuning.trials + 1,  # no limit: NetworkTuner.search counts them at the end
        "seed": job.config.training.seed + 1,  # keras-tuner treats 0 as a random seed
    }
    match tuning.algorithm:
        case "bayesian":
            oracle = keras_tuner.oracles.BayesianOptimizationOracle(**arguments)
        case "random":
            oracle = keras_tuner.oracles.RandomSearchOracle(**arguments)
        case "vizier":
            oracle = VizierOracle(job.config.study or "", this_task().name, tuning.search, **arguments)
    return NetworkTuner(job, oracle=oracle, directory=directory, project_name=f"{PROJECT}-{job_digest(job)[:16]}")


def run_tuners(job: Job, oracle: keras_tuner.engine.oracle.Oracle, workers: int) -> None:
    """Runs the trials of an oracle in several processes. If one is killed, its trial runs again.

    Raises:
        WorkerError: A trial failed for a reason that the next one would run into too, or processes are killed
            repeatedly without progress.
    """
    limit = LossLimit(lambda: len(oracle.end_order))
    with serve_oracle(oracle) as (port, _), WorkerGroup(job) as group:

        def start(index: int) -> WorkerProcess:
            environment = {ORACLE_ADDRESS: LOCALHOST, ORACLE_PORT: str(port), TUNER_ID: f"tuner {index}"}
            return group.start(environment[TUNER_ID], "tune", {**environment, **gpu_environment(index, workers)})

        running = [start(index) for index in range(workers)]
        for _ in poll():
            if all(process.exit_code == 0 for process in running):
                return
            for index, process in enumerate(running):
                if process.failure:
                    raise WorkerError(f"{process.name}: {process.failure[1]}")
                if process.exit_code:
                    limit.add(process)
                    progress.report("was lost; starting a replacement", process.name)
                    running[index] = start(index)


def run_trials(job: Job, directory: str) -> None:
    """Runs trials from the oracle of another process until there are no more.

    Args:
        job: The job to tune.
        directory: Folder for keras-tuner's state.

    Raises:
        FatalError: A trial failed for a reason that the next one would run into too.
        TimeoutError: The chief of the cluster did not come up.
    """
    task = this_task()
    with contextlib.ExitStack() as stack:
        if task.peers and _tuning(job).algorithm != "vizier" and TUNER_ID not in os.environ:
            [chief] = [peer for peer in task.peers if peer.is_chief]
            stack.enter_context(listen_on_task_port(task))  # until the end, since the chief waits for this port
            wait_until_reachable([chief])
            host, _, port = chief.address.rpartition(":")
            os.environ.update({ORACLE_ADDRESS: host, ORACLE_PORT: port, TUNER_ID: task.name})
        # The search of the base class, without what NetworkTuner's adds for the chief.
        keras_tuner.engine.base_tuner.BaseTuner.search(make_tuner(job, directory))


def search_space(search: dict[str, Range]) -> keras_tuner.HyperParameters:
    """Converts the search ranges of the YAML to keras-tuner's hyperparameters."""
    space = keras_tuner.HyperParameters()
    for name, choice in search.items():
        if choice.values is not None:
            space.Choice(name, choice.choices)
        elif isinstance(choice.min, int) and isinstance(choice.max, int):
            space.Int(name, choice.min, choice.max, sampling=choice.sampling)
        else:
            space.Float(name, choice.min, choice.max, sampling=choice.sampling)
    return space


def _tuning(job: Job) -> Tuning:
    assert job.config.tuning is not None
    return job.config.tuning


def _format(values: Mapping[str, Any]) -> str:
    strings = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join(f"{name} {string}" for name, string in strings.items())
