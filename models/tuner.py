"""``tuner_fn``: what the Tuner runs."""

from typing import Any

import keras_tuner
import tensorflow_transform as tft
import tf_keras as keras
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from models.input import check_label
from models.settings import ModelConfig, Range
from models.trainer import DivergedError, build, fit

OBJECTIVE = keras_tuner.Objective("val_loss", "min")


class NetworkTuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Trains one network a trial.

    keras-tuner builds Keras 3 models; overriding ``run_trial`` is its documented way to train another kind.
    """

    def __init__(self, config: ModelConfig, transform_output: tft.TFTransformOutput, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._config = config
        self._transform_output = transform_output

    def run_trial(self, trial: keras_tuner.engine.trial.Trial, files: tuple[list[str], list[str]]) -> dict[str, float]:
        """Trains with the trial's hyperparameters; returns the lowest validation loss.

        A trial that diverges counts as failed and the search goes on; any other error ends it, since the next trial
        would meet the same code and data.
        """
        assert self._config.tuning is not None
        hyperparameters = {**self._config.network.hyperparameters, **trial.hyperparameters.values}
        try:
            model = build(self._config, hyperparameters, self._transform_output)
            steps = self._config.tuning.steps
            history = fit(model, self._config, files, self._transform_output, steps, callbacks=[])
        except DivergedError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        finally:
            keras.backend.clear_session()
        return {OBJECTIVE.name: min(history[OBJECTIVE.name])}

    def save_model(self, trial_id: str, model: keras.Model, step: int = 0) -> None:
        """Keeps nothing: the Trainer trains the best trial's network in full."""

    def load_model(self, trial: keras_tuner.engine.trial.Trial) -> keras.Model:
        """Raises, since no model is kept."""
        raise NotImplementedError("the Tuner keeps hyperparameters, not models; the Trainer makes the model")


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Prepares the search for the hyperparameters with the lowest validation loss.

    Args:
        fn_args: From TFX: ``train_files`` and ``eval_files`` (transformed examples), ``transform_graph_path``,
            ``working_dir``, and ``custom_config`` (a :class:`models.settings.ModelConfig`).

    Raises:
        ValueError: The training split cannot be learnt from; see :func:`models.input.check_label`.
    """
    config = ModelConfig.from_config(fn_args.custom_config)
    assert config.tuning is not None
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    check_label(fn_args.train_files, transform_output, config.problem)
    space = search_space(config.tuning.search)
    kind = {
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "random": keras_tuner.oracles.RandomSearchOracle,
    }
    oracle = kind[config.tuning.algorithm](
        objective=OBJECTIVE,
        max_trials=config.tuning.trials,
        hyperparameters=space,
        allow_new_entries=False,
        seed=config.training.seed + 1,  # keras-tuner takes 0 as "any"
    )
    tuner = NetworkTuner(config, transform_output, oracle=oracle, directory=fn_args.working_dir, project_name="search")
    return TunerFnResult(tuner=tuner, fit_kwargs={"files": (fn_args.train_files, fn_args.eval_files)})


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
