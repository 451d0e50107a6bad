"""The resolver strategy that finds the baseline model."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import ml_metadata as mlmd
from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio

from artifacts.names import BLESSED, MODEL_ID

SCALING = ("log", "scale")  # settings of a label that do not change what it means
OUTPUT = metadata_store_pb2.Event.OUTPUT


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """Selects the model of another run with the latest blessing that can be compared with the candidate.

    Inputs are ``model``, ``model_blessing`` and ``infra_blessing`` (all artifacts of the pipeline) and ``candidate``.
    If there is no candidate yet, ``label`` says what it will be trained for. These models are skipped:

    * the candidate: in a rerun with a cached Trainer, TFX's LatestBlessedModelStrategy returns the run's own model as
    the
      baseline, so that the comparison is useless and the Evaluator runs again
    * models that SkewGuard did not bless
    * models that were trained for another label, because their metrics are not comparable
    * models whose files were deleted, because the evaluation would fail
    """

    def __init__(self, label: str = "") -> None:
        """Creates the strategy.

        Args:
            label: Task, label and weights of the problem as a JSON list, or empty if there is a candidate.
        """
        self._problem = dict(zip(("task", "label", "weight"), json.loads(label), strict=False)) if label else None

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the baseline and its blessing, each in a list, or empty lists if there is no baseline."""
        candidates = input_dict.get("candidate", [])
        excluded = {artifact.id for artifact in candidates}
        for infra_blessing in input_dict["infra_blessing"]:
            if not infra_blessing.get_int_custom_property(BLESSED):
                excluded.add(infra_blessing.get_int_custom_property(MODEL_ID))
        blessings = [each for each in input_dict["model_blessing"] if each.get_int_custom_property(BLESSED)]
        models = {artifact.id: artifact for artifact in input_dict["model"] if artifact.id not in excluded}
        wanted = self._problem or next((_problem(store, candidate) for candidate in candidates), None)
        # The weights of a model only fit the target that it was trained on. Its metrics have the unit of the table.
        label = _label(wanted, with_scaling=self._problem is not None)
        result: dict[str, list[types.Artifact]] = {key: [] for key in input_dict}
        for blessing in _newest_first(store, blessings):
            model = models.get(blessing.get_int_custom_property(MODEL_ID))
            if model is None:
                continue
            if _label(_problem(store, model), with_scaling=self._problem is not None) != label:
                continue
            if not fileio.exists(model.uri):
                logging.warning("The files of the blessed model %d are missing from %s.", model.id, model.uri)
                continue
            return {**result, "model": [model], "model_blessing": [blessing]}
        return result


def _newest_first(store: mlmd.MetadataStore, blessings: Iterable[types.Artifact]) -> list[types.Artifact]:
    """Sorts blessings by the time when they were output, including by a cached Evaluator."""
    by_id = {blessing.id: blessing for blessing in blessings}
    times: dict[int, int] = dict.fromkeys(by_id, 0)
    for event in store.get_events_by_artifact_ids(list(by_id)):
        if event.type == OUTPUT:
            times[event.artifact_id] = max(times[event.artifact_id], event.milliseconds_since_epoch)
    return [by_id[each] for each in sorted(times, key=lambda each: (times[each], each), reverse=True)]


def _label(problem: Mapping[str, Any] | None, with_scaling: bool) -> object:
    """Task and label of a problem, in a form that is the same for problems that earlier versions recorded."""
    if problem is None:
        return None
    label = problem.get("label")
    if not isinstance(label, Mapping):
        return [problem.get("task"), label, problem.get("weight")]
    found = {name: value for name, value in label.items() if value is not None and name not in SCALING}
    if with_scaling and problem.get("task") == "regression":
        # Earlier versions had no scaling. "null" is the default.
        found["log"] = bool(label.get("log"))
        found["scale"] = (label["scale"] or "z_score") if "scale" in label else "none"
    return [problem.get("task"), found, problem.get("weight")]


def _problem(store: mlmd.MetadataStore, model: types.Artifact) -> Mapping[str, Any] | None:
    """The problem that a model was trained for, from its Trainer's properties."""
    trainers = [event.execution_id for event in store.get_events_by_artifact_ids([model.id]) if event.type == OUTPUT]
    for execution in store.get_executions_by_id(trainers[:1]):
        settings = json.loads(execution.custom_properties["custom_config"].string_value or "{}")
        problem: Mapping[str, Any] = settings.get("problem", {})
        return problem
    return None
