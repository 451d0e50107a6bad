"""Intervals of real trainings hold over seeds and rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from planted import CONFIG, FEATURES, planted

from custom_components.ablation.estimates import Rows, difference
from custom_components.ablation.metrics import METRICS, Array
from custom_components.ablation.trainings import Trainings, read_labels
from models.problem.features import Features

SEEDS, REPEATS = 30, 5
POOL, ROWS = 20_000, 1000
TRIALS = 100
LEFT_OUT = {"all": (), "signal": ("signal_dense",), "noise": ("noise_dense",), "place": ("place_hashed",)}


@pytest.mark.slow
def test_intervals_cover_the_mean_over_all_seeds_and_rows(tmp_path: Path) -> None:
    """Draws seeds and rows from many trainings, whose mean on a large table is the truth."""
    features = Features(dense={name: FEATURES.dense[name] for name in ("signal", "noise")}, hashed=FEATURES.hashed)
    problem = dataclasses.replace(CONFIG.problem, features=features)
    table = planted(tmp_path, problem, POOL)
    train = dataclasses.replace(table.splits[0], every=POOL // ROWS)
    config = dataclasses.replace(CONFIG, problem=problem)
    trainings = Trainings(config, config.network.hyperparameters, (train, table.splits[1]), table.graph)
    predictions = {
        name: np.stack([trainings.train(seed, without)[:, 0] for seed in range(SEEDS)])
        for name, without in LEFT_OUT.items()
    }
    labels, weights = read_labels(table.splits[1], table.graph, problem, is_weighted=False)
    metric, random = METRICS["binary"]["auc"], np.random.default_rng(30)

    def values(name: str) -> Array:
        return np.array([metric.compute(labels, each[:, None], weights[None])[0] for each in predictions[name]])

    for name in ("signal", "noise", "place"):
        truth, covered = np.mean(values("all") - values(name)), 0
        for _ in range(TRIALS):
            places, seeds = random.integers(POOL, size=ROWS), random.integers(SEEDS, size=REPEATS)
            rows = Rows(labels[places], weights[places])

            better, other = (
                [rows.scores(metric, predictions[of][seed, places][:, None]) for seed in seeds] for of in ("all", name)
            )
            found = difference(metric, better, other)
            covered += int(found.low <= truth <= found.high)
        assert covered / TRIALS >= 0.9
