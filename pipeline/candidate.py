"""The trained model, and what has to hold before it is exported, pushed and served."""

from typing import NamedTuple

from tfx import types
from tfx.components import Evaluator, Trainer
from tfx.dsl.placeholder import placeholder

from artifacts.names import BLESSED
from custom_components.skew_guard.component import SkewGuard


class Candidate(NamedTuple):
    """A trained model and its two judges."""

    trainer: Trainer
    guard: SkewGuard
    evaluator: Evaluator

    @property
    def channels(self) -> dict[str, types.BaseChannel]:
        """The model and both blessings, by the names of the inputs that take them."""
        return {
            "model": self.trainer.outputs["model"],
            "model_blessing": self.evaluator.outputs["blessing"],
            "infra_blessing": self.guard.outputs["blessing"],
        }

    @property
    def is_blessed(self) -> placeholder.Predicate:
        """Whether both judges blessed it; Vertex AI evaluates it, too."""
        blessings = [self.evaluator.outputs["blessing"].future(), self.guard.outputs["blessing"].future()]
        for each in blessings:
            # TFX gives it a name, under which Vertex AI looks in vain in a node that has it among its inputs.
            each.set_key(None)
        by_evaluator, by_guard = (each[0].custom_property(BLESSED) == 1 for each in blessings)
        return placeholder.logical_and(by_evaluator, by_guard)
