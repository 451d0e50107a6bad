"""Compares the input pipelines, without a network that learns."""

import statistics
import time
from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from benchmarks.targets import Target, print_table
from benchmarks.timing import ROUNDS
from benchmarks.training import template_trainer
from models.training.fitting import TrainingData
from models.training.input import RowOrder, TrainingInput
from models.training_settings import ModelConfig

SECONDS = 1.0  # per turn, so that prefetched batches matter little
MIN_SPEEDUP = 5.0


def compare_inputs(config: ModelConfig, data: TrainingData) -> Target:
    """Compares examples per second. Both inputs return one tensor per feature, and the label."""
    cached, streamed = (_source(config, data, cache) for cache in ("memory", "none"))
    fetched = iter(cached.dataset(tf.distribute.InputContext()))
    fetches = {
        "template": _template(config, data),
        "ours, streamed": _by_feature(streamed),
        "ours, from memory": _by_feature(cached),
        "ours, from memory, as fetched": lambda: next(fetched),
    }
    batches = {name: 1 if name == "template" else cached.steps for name in fetches}
    found: dict[str, list[float]] = {name: [] for name in fetches}
    for turn in range(1 + ROUNDS):
        for name, fetch in fetches.items():
            rate = _rate(fetch) * batches[name] * config.training.batch_size
            if turn:  # the first one warms up
                found[name].append(rate)
    rates = {name: statistics.median(each) for name, each in found.items()}
    print_table("input only", {name: f"{rate:,.0f} examples/s" for name, rate in rates.items()})
    speedup = rates["ours, from memory"] / rates["template"]
    return Target("input examples/s, ours from memory / template", speedup, MIN_SPEEDUP)


def _source(config: ModelConfig, data: TrainingData, cache: Literal["memory", "none"]) -> TrainingInput:
    training = config.training
    order = RowOrder(training.seed, training.shuffle_rows, cache)
    return TrainingInput(data.train_files, data.transform_output, config.problem, training.batch_size, order)


def _by_feature(source: TrainingInput) -> Callable[[], object]:
    batches = iter(source.dataset(tf.distribute.InputContext()))

    @tf.function
    def split(several: Any) -> Any:
        return [source.batch(several, place) for place in range(source.steps)]

    return lambda: split(next(batches))


def _template(config: ModelConfig, data: TrainingData) -> Callable[[], object]:
    name, size = config.problem.label_tensor, config.training.batch_size
    batches = iter(template_trainer.dataset(data.train_files, data.transform_output, name, size))
    return lambda: next(batches)


def _rate(call: Callable[[], object]) -> float:
    """Calls per second."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        call()
        count += 1
    return count / passed
