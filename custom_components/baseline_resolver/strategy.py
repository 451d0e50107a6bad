"""The resolver strategy that finds the model a candidate is compared with."""

import json
from collections.abc import Iterable

import ml_metadata as mlmd
from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio

from artifacts.names import BLESSED, MODEL_ID

OUTPUT = metadata_store_pb2.Event.OUTPUT


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """The blessed model of another run whose blessing is the latest, if it can be compared with the candidate.

    Inputs are ``model``, ``model_blessing`` and ``infra_blessing`` (all there are) and ``candidate``; where there is no
    candidate yet, the strategy's ``label`` says what one will be trained for. Left out are:

    * the candidate: TFX's LatestBlessedModelStrategy hands a rerun, whose Trainer was answered from the cache, its own
      model as the baseline, so that the comparison says nothing and the Evaluator runs again;
    * a model that the skew guard refused;
    * one that was trained for another label, whose metrics measure something else;
    * one whose files are gone, after which every evaluation would fail.
    """

    def __init__(self, label: str = "") -> None:
        """Takes what a candidate will be trained for.

        Args:
            label: Task and label of the problem as a JSON list; empty if there is a candidate.
        """
        self._label = json.loads(label) if label else None

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the baseline and its blessing, each a list of one, or of none where there is no baseline."""
        candidates = input_dict.get("candidate", [])
        excluded = {artifact.id for artifact in candidates}
        for guarded in input_dict["infra_blessing"]:
            if not guarded.get_int_custom_property(BLESSED):
                excluded.add(guarded.get_int_custom_property(MODEL_ID))
        blessings = [each for each in input_dict["model_blessing"] if each.get_int_custom_property(BLESSED)]
        models = {artifact.id: artifact for artifact in input_dict["model"] if artifact.id not in excluded}
        wanted = self._label or next((_label(store, candidate) for candidate in candidates), None)
        result: dict[str, list[types.Artifact]] = {key: [] for key in input_dict}
        for blessing in _newest_first(store, blessings):
            model = models.get(blessing.get_int_custom_property(MODEL_ID))
            if model is None or _label(store, model) != wanted:
                continue
            if not fileio.exists(model.uri):
                logging.warning("The blessed model %d is gone from %s; it is no baseline.", model.id, model.uri)
                continue
            return {**result, "model": [model], "model_blessing": [blessing]}
        return result


def _newest_first(store: mlmd.MetadataStore, blessings: Iterable[types.Artifact]) -> list[types.Artifact]:
    """By when they were given or, by a cached Evaluator, given again."""
    by_id = {blessing.id: blessing for blessing in blessings}
    times: dict[int, int] = dict.fromkeys(by_id, 0)
    for event in store.get_events_by_artifact_ids(list(by_id)):
        if event.type == OUTPUT:
            times[event.artifact_id] = max(times[event.artifact_id], event.milliseconds_since_epoch)
    return [by_id[each] for each in sorted(times, key=lambda each: (times[each], each), reverse=True)]


def _label(store: mlmd.MetadataStore, model: types.Artifact) -> object:
    """What a model was trained to predict, as its Trainer's settings say."""
    trainers = [event.execution_id for event in store.get_events_by_artifact_ids([model.id]) if event.type == OUTPUT]
    for execution in store.get_executions_by_id(trainers[:1]):
        settings = json.loads(execution.custom_properties["custom_config"].string_value or "{}")
        problem = settings.get("problem", {})
        return [problem.get("task"), problem.get("label")]
    return None
