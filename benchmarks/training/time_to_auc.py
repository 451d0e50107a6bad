"""Compares the time that training takes to the same AUC."""

import dataclasses
import statistics
import time
from typing import Any

from benchmarks.targets import Target, print_table
from benchmarks.training import template_trainer
from benchmarks.training.template_trainer import Evaluation
from common import progress
from models.training.fitting import TrainingData, fit
from models.training.trainer import build_model
from models.training_settings import ModelConfig

EVALUATIONS, FITS = 5, 3
MAX_INPUT_WAIT, MIN_SPEEDUP = 0.1, 1.0


def compare_times(config: ModelConfig, data: TrainingData) -> list[Target]:
    """Compares the seconds to the AUC that both trainers reach after a few evaluations, including graph tracing."""
    every = config.training.evaluate_every
    training = dataclasses.replace(
        config.training, steps=EVALUATIONS * every, patience=EVALUATIONS, checkpoint_every=None
    )
    config = dataclasses.replace(config, training=training)
    waits: list[float] = []
    found: dict[str, list[list[Evaluation]]] = {"template": [], "ours": []}
    for _ in range(FITS):
        found["template"].append(template_trainer.fit(_network(config, data), config, data))
        evaluations, wait = _fit(config, data)
        found["ours"].append(evaluations)
        waits.append(wait)
    target = min(evaluations[-1].auc for each in found.values() for evaluations in each)
    seconds = {
        name: statistics.median(_seconds_to(target, evaluations) for evaluations in each)
        for name, each in found.items()
    }
    first = {name: statistics.median(evaluations[0].seconds for evaluations in each) for name, each in found.items()}
    print_table(
        f"to a validation AUC of {target:.4f}",
        {
            name: f"{each:.2f} s, including {first[name]:.2f} s to the first evaluation"
            for name, each in seconds.items()
        },
    )
    return [
        Target("fraction of a step that waits for input", statistics.median(waits), MAX_INPUT_WAIT, at_most=True),
        Target("seconds to the same AUC, template / ours", seconds["template"] / seconds["ours"], MIN_SPEEDUP),
    ]


def _fit(config: ModelConfig, data: TrainingData) -> tuple[list[Evaluation], float]:
    """The evaluations of our trainer, and the fraction of its time that steps waited for input."""
    model, seconds = _network(config, data), list[float]()
    start = time.perf_counter()
    with progress.listening(lambda _source, _line: seconds.append(time.perf_counter() - start)):
        result = fit(model, config, data)
    evaluations = [Evaluation(each, row["val_auc"]) for each, row in zip(seconds, result.state.history, strict=True)]
    return evaluations, result.stats["input_wait"]


def _network(config: ModelConfig, data: TrainingData) -> Any:
    return build_model(config, config.network.hyperparameters, data.transform_output)


def _seconds_to(auc: float, evaluations: list[Evaluation]) -> float:
    return next(evaluation.seconds for evaluation in evaluations if evaluation.auc >= auc)
