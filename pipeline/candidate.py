"""The trained model, and the condition under which it is exported, pushed and served."""

from typing import NamedTuple

from tfx import types
from tfx.components import Evaluator, Trainer
from tfx.dsl.placeholder import placeholder

from artifacts.names import BLESSED
from custom_components.skew_guard.component import SkewGuard


class Candidate(NamedTuple):
    """A trained model and the two components that can bless it."""

    trainer: Trainer
    guard: SkewGuard
    evaluator: Evaluator

    @property
    def channels(self) -> dict[str, types.BaseChannel]:
        """The model and both blessings, by input name."""
        return {
            "model": self.trainer.outputs["model"],
            "model_blessing": self.evaluator.outputs["blessing"],
            "infra_blessing": self.guard.outputs["blessing"],
        }

    @property
    def is_blessed(self) -> placeholder.Predicate:
        """The condition that both components blessed the model, for TFX and for Vertex AI."""
        blessings = [self.evaluator.outputs["blessing"].future(), self.guard.outputs["blessing"].future()]
        for each in blessings:
            # TFX sets a key that Vertex AI does not find in nodes that have the blessing as an input.
            each.set_key(None)
        by_evaluator, by_guard = (each[0].custom_property(BLESSED) == 1 for each in blessings)
        return placeholder.logical_and(by_evaluator, by_guard)
