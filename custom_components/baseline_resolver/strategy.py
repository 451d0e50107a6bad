"""The resolver strategy that finds the model a candidate is compared with."""

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """The latest blessed model that is not the candidate itself.

    TFX's LatestBlessedModelStrategy hands a rerun, whose Trainer was answered from the cache, the candidate as its
    own baseline: the comparison then says nothing, and the Evaluator runs again because its input changed.

    Inputs and outputs are ``model`` (all models), ``model_blessing`` (all blessings) and ``candidate``.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the baseline and its blessing, each a list of one, or of none on a first run."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        others = {
            "model": [artifact for artifact in input_dict["model"] if artifact.id not in candidates],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = LatestBlessedModelStrategy().resolve_artifacts(store, others) or {}
        return {"model": [], "model_blessing": [], **resolved, "candidate": input_dict["candidate"]}
