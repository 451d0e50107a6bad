"""A keras-tuner oracle that gets its trials from Vertex AI Vizier. Any number of processes may share one study."""

import time
from collections.abc import Mapping
from typing import Any

import keras_tuner
from absl import logging

from cloud.calls import TIMEOUT, wait_for_operation, with_retries
from cloud.vertex import Connection, connect, raising_cloud_errors, require_name
from models.training.callbacks import MONITOR
from models.training_settings import Range, Scalar

POLL_SECONDS = 1.0
SUGGESTION_SECONDS = 900.0  # for Vizier to suggest a trial
Status = keras_tuner.engine.trial.TrialStatus


class VizierOracle(keras_tuner.engine.oracle.Oracle):
    """Runs the trials of a study that Vizier stores. A process that restarts gets its unfinished trial again.

    Two processes that ask at the same time may both get a trial when only one is left. The surplus trial is deleted.
    """

    def __init__(self, study: str, client: str, search: Mapping[str, Range], **kwargs: Any) -> None:
        """Connects to the study.

        Args:
            study: Resource name of the study, from :func:`open_study`.
            client: Name of this process, unique among those that share the study.
            search: Search ranges by hyperparameter.
            **kwargs: Arguments of any oracle. Vizier ignores ``seed``.

        Raises:
            ValueError: There is no study.
            CloudError: There are no credentials.
        """
        if not study:
            raise ValueError(
                "tuning.algorithm: found 'vizier', but no study is open; expected a step on Vertex AI to open one"
            )
        super().__init__(**kwargs)
        _, project, _, region, *_ = study.split("/")
        self._vizier = connect(project, region).vizier
        self._study, self._client, self._search = study, client, search

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> keras_tuner.engine.trial.Trial:
        """Returns the next trial that Vizier suggests, or a stopped one if there are no more."""
        with raising_cloud_errors():
            found = self._read()
            own = [each for each in found if each.client_id == self._client and not _is_finished(each)]
            if not own and len(found) >= self.max_trials:
                return keras_tuner.engine.trial.Trial(self.get_space(), status=Status.STOPPED)
            # Vizier returns the client's unfinished trial, if it has one.
            request = {"parent": self._study, "suggestion_count": 1, "client_id": self._client}
            operation = with_retries(lambda: self._vizier.suggest_trials(request=request, timeout=TIMEOUT))
            [given] = wait_for_operation(operation, SUGGESTION_SECONDS).trials
            if int(given.id) > self.max_trials:
                with_retries(lambda: self._vizier.delete_trial(name=given.name, timeout=TIMEOUT))
                return keras_tuner.engine.trial.Trial(self.get_space(), status=Status.STOPPED)
        trial = self.trials[given.id] = self._as_trial(given)
        self.ongoing_trials[tuner_id] = trial
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Reports the result of a trial to Vizier, or that the trial is infeasible."""
        request: dict[str, Any] = {"name": f"{self._study}/trials/{trial.trial_id}"}
        if trial.status == Status.COMPLETED:
            value = self.trials[trial.trial_id].metrics.get_best_value(self.objective.name)
            request["final_measurement"] = {"metrics": [{"metric_id": self.objective.name, "value": value}]}
        else:
            request |= {"trial_infeasible": True, "infeasible_reason": "training produced NaN or infinite values"}

        def done() -> Any | None:
            now = with_retries(lambda: self._vizier.get_trial(name=request["name"], timeout=TIMEOUT))
            return now if _is_finished(now) else None

        with raising_cloud_errors():
            ended = with_retries(lambda: self._vizier.complete_trial(request=request, timeout=TIMEOUT), done)
        self.trials[trial.trial_id] = self._as_trial(ended)
        self.ongoing_trials.clear()  # each process has one at a time

    def wait_for_all(self) -> None:
        """Waits until no process runs a trial, and reads all trials."""
        with raising_cloud_errors():
            while running := [each.id for each in self._read() if not _is_finished(each)]:
                logging.log_every_n_seconds(
                    logging.INFO, "Waiting for trials %s of other processes.", 60, ", ".join(running)
                )
                time.sleep(POLL_SECONDS)

    def reload(self) -> None:
        """Reads the trials of the study."""
        with raising_cloud_errors():
            self._read()

    def _save_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Does nothing: Vizier stores the trials."""

    def _read(self) -> list[Any]:
        """Reads all trials from Vizier, sorted by number."""
        found = sorted(
            with_retries(lambda: list(self._vizier.list_trials(parent=self._study, timeout=TIMEOUT))),
            key=lambda each: int(each.id),
        )
        self.trials = {each.id: self._as_trial(each) for each in found}
        return found

    def _as_trial(self, given: Any) -> keras_tuner.engine.trial.Trial:
        state = given.state.name
        status = {"SUCCEEDED": Status.COMPLETED, "INFEASIBLE": Status.FAILED}.get(state, Status.RUNNING)
        space = self.get_space()
        space.values = {
            each.parameter_id: _read_value(self._search[each.parameter_id], each.value) for each in given.parameters
        }
        trial = keras_tuner.engine.trial.Trial(space, trial_id=given.id, status=status)
        if status == Status.COMPLETED:
            [metric] = given.final_measurement.metrics
            trial.score = metric.value
        return trial


def open_study(connection: Connection, name: str, search: Mapping[str, Range]) -> str:
    """Creates a study, or finds the one with that name.

    Args:
        connection: Connection to Vertex AI.
        name: Display name of the study.
        search: Search ranges by hyperparameter.

    Returns:
        The resource name of the study.

    Raises:
        CloudError: Vizier rejected the request.
    """
    from google.api_core.exceptions import NotFound  # noqa: PLC0415

    spec = {
        "metrics": [{"metric_id": MONITOR, "goal": "MINIMIZE"}],
        "parameters": [_as_parameter(*each) for each in search.items()],
    }
    study = {"display_name": name, "study_spec": spec}
    request = {"parent": connection.parent, "display_name": name}

    def find() -> Any | None:
        try:
            return with_retries(lambda: connection.vizier.lookup_study(request=request, timeout=TIMEOUT))
        except NotFound:
            return None

    with raising_cloud_errors():
        found = find() or with_retries(
            lambda: connection.vizier.create_study(parent=connection.parent, study=study, timeout=TIMEOUT),
            find_result=find,
        )
    resource: str = require_name(found).name
    return resource


def _as_parameter(name: str, searched: Range) -> dict[str, Any]:
    """Converts a search range to Vizier's parameter spec: integer, double, discrete or categorical."""
    if searched.values is not None:
        if _is_categorical(searched):
            return {"parameter_id": name, "categorical_value_spec": {"values": list(map(str, searched.choices))}}
        return {"parameter_id": name, "discrete_value_spec": {"values": sorted(set(map(float, searched.choices)))}}
    kind = "integer" if isinstance(searched.min, int) and isinstance(searched.max, int) else "double"
    return {
        "parameter_id": name,
        f"{kind}_value_spec": {"min_value": searched.min, "max_value": searched.max},
        "scale_type": "UNIT_LOG_SCALE" if searched.sampling == "log" else "UNIT_LINEAR_SCALE",
    }


def _read_value(searched: Range, value: Any) -> Scalar:
    """Converts a value from Vizier to the type of the search range."""
    if searched.values is not None:
        if _is_categorical(searched):
            return next(choice for choice in searched.choices if str(choice) == value)
        return next(choice for choice in searched.choices if float(choice) == float(value))
    is_integer = isinstance(searched.min, int) and isinstance(searched.max, int)
    return round(value) if is_integer else float(value)


def _is_categorical(searched: Range) -> bool:
    return isinstance(searched.choices[0], bool | str)


def _is_finished(trial: Any) -> bool:
    return trial.state.name in ("SUCCEEDED", "INFEASIBLE")
