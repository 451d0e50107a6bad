"""A keras-tuner oracle that asks Vertex AI Vizier what to try; any number of processes may ask about one study."""

import time
from collections.abc import Mapping
from typing import Any

import keras_tuner
from absl import logging

from cloud.calls import TIMEOUT, wait_for_operation, with_retries
from cloud.vertex import Connection, connect, raising_cloud_errors, require_name
from models.settings import Range, Scalar
from models.training.callbacks import WATCHED

POLL_SECONDS = 1.0
MAX_SECONDS = 900.0  # that a suggestion may take
Status = keras_tuner.engine.trial.TrialStatus


class VizierOracle(keras_tuner.engine.oracle.Oracle):
    """Gives the trials of a study, which Vizier keeps: one that is lost with its process is given to it again.

    Two that ask at once may begin the last trial both; the one that is too much is taken back.
    """

    def __init__(self, study: str, client: str, search: Mapping[str, Range], **kwargs: Any) -> None:
        """Connects to the study.

        Args:
            study: Its resource name, of :func:`open_study`.
            client: Who asks; another one than all that ask at the same time.
            search: The searched hyperparameters by name.
            **kwargs: As of any oracle; ``seed`` means nothing to Vizier.

        Raises:
            ValueError: There is no study.
            CloudError: There are no credentials.
        """
        if not study:
            raise ValueError(
                "tuning.algorithm is 'vizier' and no study is open; expected a step on Vertex AI to open one"
            )
        super().__init__(**kwargs)
        _, project, _, region, *_ = study.split("/")
        self._vizier = connect(project, region).vizier
        self._study, self._client, self._search = study, client, search

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> keras_tuner.engine.trial.Trial:
        """The next trial, of Vizier's choice, or one that says that there are no more."""
        with raising_cloud_errors():
            found = self._read()
            ours = [each for each in found if each.client_id == self._client and not _is_over(each)]
            if not ours and len(found) >= self.max_trials:
                return keras_tuner.engine.trial.Trial(self.get_space(), status=Status.STOPPED)
            # Vizier answers with the client's own trial that is not over, if it has one.
            request = {"parent": self._study, "suggestion_count": 1, "client_id": self._client}
            operation = with_retries(lambda: self._vizier.suggest_trials(request=request, timeout=TIMEOUT))
            [given] = wait_for_operation(operation, MAX_SECONDS).trials
            if int(given.id) > self.max_trials:
                with_retries(lambda: self._vizier.delete_trial(name=given.name, timeout=TIMEOUT))
                return keras_tuner.engine.trial.Trial(self.get_space(), status=Status.STOPPED)
        trial = self.trials[given.id] = self._as_trial(given)
        self.ongoing_trials[tuner_id] = trial
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Tells Vizier what a trial gave, or that it cannot be done."""
        request: dict[str, Any] = {"name": f"{self._study}/trials/{trial.trial_id}"}
        if trial.status == Status.COMPLETED:
            value = self.trials[trial.trial_id].metrics.get_best_value(self.objective.name)
            request["final_measurement"] = {"metrics": [{"metric_id": self.objective.name, "value": value}]}
        else:
            request |= {"trial_infeasible": True, "infeasible_reason": "the loss is not a number"}

        def done() -> Any | None:
            now = with_retries(lambda: self._vizier.get_trial(name=request["name"], timeout=TIMEOUT))
            return now if _is_over(now) else None

        with raising_cloud_errors():
            ended = with_retries(lambda: self._vizier.complete_trial(request=request, timeout=TIMEOUT), done)
        self.trials[trial.trial_id] = self._as_trial(ended)
        self.ongoing_trials.clear()  # a process has one at a time

    def wait_for_all(self) -> None:
        """Waits until no process has a trial under way, and knows all trials then."""
        with raising_cloud_errors():
            while running := [each.id for each in self._read() if not _is_over(each)]:
                logging.log_every_n_seconds(logging.INFO, "Waits for the trials %s of others.", 60, ", ".join(running))
                time.sleep(POLL_SECONDS)

    def reload(self) -> None:
        """Reads the study, which is what there was before."""
        with raising_cloud_errors():
            self._read()

    def _save_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Writes nothing: Vizier keeps the trials."""

    def _read(self) -> list[Any]:
        """All trials as Vizier has them, from the first."""
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
    """Makes a study, or finds the one of that name.

    Args:
        connection: Where.
        name: Its display name.
        search: The searched hyperparameters by name.

    Returns:
        Its resource name.

    Raises:
        CloudError: Vizier refuses it.
    """
    from google.api_core.exceptions import NotFound  # noqa: PLC0415

    spec = {
        "metrics": [{"metric_id": WATCHED, "goal": "MINIMIZE"}],
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
    """A range in Vizier's terms, which has whole numbers, others, numbers of a list, and texts of a list."""
    if searched.values is not None:
        if _is_text(searched):
            return {"parameter_id": name, "categorical_value_spec": {"values": list(map(str, searched.choices))}}
        return {"parameter_id": name, "discrete_value_spec": {"values": sorted(set(map(float, searched.choices)))}}
    kind = "integer" if isinstance(searched.min, int) and isinstance(searched.max, int) else "double"
    return {
        "parameter_id": name,
        f"{kind}_value_spec": {"min_value": searched.min, "max_value": searched.max},
        "scale_type": "UNIT_LOG_SCALE" if searched.sampling == "log" else "UNIT_LINEAR_SCALE",
    }


def _read_value(searched: Range, value: Any) -> Scalar:
    """What Vizier chose, as the type of the search space."""
    if searched.values is not None:
        if _is_text(searched):
            return next(choice for choice in searched.choices if str(choice) == value)
        return next(choice for choice in searched.choices if float(choice) == float(value))
    is_whole = isinstance(searched.min, int) and isinstance(searched.max, int)
    return round(value) if is_whole else float(value)


def _is_text(searched: Range) -> bool:
    return isinstance(searched.choices[0], bool | str)


def _is_over(trial: Any) -> bool:
    return trial.state.name in ("SUCCEEDED", "INFEASIBLE")
