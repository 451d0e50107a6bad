"""The resolver strategy that finds the model a candidate is compared with."""

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy

from custom_components.skew_guard.executor import BLESSED, MODEL_ID


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """The latest blessed model that is not the candidate itself, and that the skew guard did not refuse.

    TFX's LatestBlessedModelStrategy hands a rerun, whose Trainer was answered from the cache, the candidate as its
    own baseline: the comparison then says nothing, and the Evaluator runs again because its input changed.

    Inputs are ``model``, ``model_blessing`` and ``infra_blessing`` (all there are) and ``candidate``.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the baseline and its blessing, each a list of one, or of none on a first run."""
        excluded = {artifact.id for artifact in input_dict["candidate"]}
        for blessing in input_dict["infra_blessing"]:
            if not blessing.get_int_custom_property(BLESSED):
                excluded.add(blessing.get_int_custom_property(MODEL_ID))
        others = {
            "model": [artifact for artifact in input_dict["model"] if artifact.id not in excluded],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = LatestBlessedModelStrategy().resolve_artifacts(store, others) or {}
        return {**{key: [] for key in input_dict}, **resolved}
