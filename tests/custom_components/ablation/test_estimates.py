import numpy as np
import pytest
from sklearn import metrics as reference

from custom_components.ablation.estimates import RESAMPLES, Rows, Scores, difference
from custom_components.ablation.metrics import METRICS, Array, choose_metric

SEEDS = 5
ACCURACY = METRICS["binary"]["accuracy"]
LABELS = np.random.default_rng(1).integers(0, 2, 300).astype(np.float64)
# Rounded, so that some are equal.
SCORES = np.clip(np.round(np.random.default_rng(2).normal(LABELS * 0.3 + 0.35, 0.25), 1), 0.01, 0.99)[:, None]
WEIGHTS = np.random.default_rng(3).uniform(0, 2, 300)
CLASSES = np.random.default_rng(4).dirichlet((1, 1, 1), 300)
NAMES = np.random.default_rng(5).integers(0, 3, 300).astype(np.float64)
VALUES = np.random.default_rng(6).normal(2, 3, 300)
GUESSES = VALUES[:, None] + np.random.default_rng(7).normal(size=(300, 1))
HARD = SCORES[:, 0] > 0.5
EXPECTED = {
    ("binary", "auc"): reference.roc_auc_score(LABELS, SCORES[:, 0], sample_weight=WEIGHTS),
    ("binary", "pr_auc"): reference.average_precision_score(LABELS, SCORES[:, 0], sample_weight=WEIGHTS),
    ("binary", "f1"): reference.f1_score(LABELS, HARD, sample_weight=WEIGHTS),
    ("binary", "accuracy"): reference.accuracy_score(LABELS, HARD, sample_weight=WEIGHTS),
    ("binary", "balanced_accuracy"): reference.balanced_accuracy_score(LABELS, HARD, sample_weight=WEIGHTS),
    ("binary", "loss"): reference.log_loss(LABELS, SCORES[:, 0], sample_weight=WEIGHTS),
    ("multiclass", "accuracy"): reference.accuracy_score(NAMES, CLASSES.argmax(axis=1), sample_weight=WEIGHTS),
    ("multiclass", "balanced_accuracy"): reference.balanced_accuracy_score(
        NAMES, CLASSES.argmax(axis=1), sample_weight=WEIGHTS
    ),
    ("multiclass", "loss"): reference.log_loss(NAMES, CLASSES, sample_weight=WEIGHTS),
    ("regression", "mse"): reference.mean_squared_error(VALUES, GUESSES[:, 0], sample_weight=WEIGHTS),
    ("regression", "rmse"): reference.root_mean_squared_error(VALUES, GUESSES[:, 0], sample_weight=WEIGHTS),
    ("regression", "mae"): reference.mean_absolute_error(VALUES, GUESSES[:, 0], sample_weight=WEIGHTS),
    ("regression", "mape"): 100
    * reference.mean_absolute_percentage_error(VALUES, GUESSES[:, 0], sample_weight=WEIGHTS),
    ("regression", "r2"): reference.r2_score(VALUES, GUESSES[:, 0], sample_weight=WEIGHTS),
}
ROWS = {"binary": (LABELS, SCORES), "multiclass": (NAMES, CLASSES), "regression": (VALUES, GUESSES)}


def test_every_metric_is_compared() -> None:
    assert set(EXPECTED) == {(task, name) for task, metrics in METRICS.items() for name in metrics}


@pytest.mark.parametrize(("task", "name"), EXPECTED)
def test_metrics_equal_those_of_scikit_learn(task: str, name: str) -> None:
    labels, predictions = ROWS[task]
    [value, _] = METRICS[task][name].compute(labels, predictions, np.stack([WEIGHTS, np.ones(300)]))
    assert value == pytest.approx(EXPECTED[task, name], rel=1e-9)


def test_rows_without_a_class_count_nothing() -> None:
    rows = Rows(np.append(LABELS, -1.0), np.append(np.ones(300), 0.0))
    found = rows.scores(METRICS["binary"]["auc"], np.vstack([SCORES, [[0.5]]]))
    assert found.value == pytest.approx(reference.roc_auc_score(LABELS, SCORES[:, 0]))


def test_the_first_wanted_metric_that_can_be_measured_is_chosen() -> None:
    assert choose_metric("binary", ["calibration", "accuracy", "auc"]).name == "accuracy"
    assert choose_metric("regression", ["calibration"]).name == "mse"


def simulate(random: np.random.Generator, rows: int, from_seeds: float, from_rows: float) -> tuple[Array, Array]:
    """Whether two groups of models are right, [seeds, rows]. The first ones are right more often by 0.1.

    Some of that differs between seeds, and some between rows but not between seeds.
    """
    hardness = random.normal(size=rows) * from_rows
    shift = random.normal(size=(SEEDS, 1)) * from_seeds
    noise = random.random((SEEDS, rows))
    better, other = (noise < np.clip(mean + hardness, 0, 1) for mean in (0.7 + shift, 0.6))
    return better.astype(np.float64), other.astype(np.float64)


@pytest.mark.parametrize(
    ("from_seeds", "from_rows"), [(0.0, 0.2), (0.03, 0.0), (0.03, 0.1)], ids=["rows", "seeds", "both"]
)
def test_intervals_cover_the_true_difference_in_95_of_100_cases(from_seeds: float, from_rows: float) -> None:
    random = np.random.default_rng(20)
    labels, trials, covered = np.ones(300), 150, 0
    rows = Rows(labels, labels)
    pairs = [simulate(random, 20_000, from_seeds, from_rows) for _ in range(20)]
    truth = np.mean([better.mean() - other.mean() for better, other in pairs])
    for _ in range(trials):
        better, other = (
            [rows.scores(ACCURACY, each[:, None]) for each in models]
            for models in simulate(random, 300, from_seeds, from_rows)
        )
        found = difference(ACCURACY, better, other)
        covered += int(found.low <= truth <= found.high)
    assert 0.92 <= covered / trials <= 0.995


def test_an_interval_is_wider_with_fewer_seeds() -> None:
    random = np.random.default_rng(8)
    better, other = ([Scores(float(each), np.full(RESAMPLES, each)) for each in random.normal(size=6)] for _ in "ab")
    few, many = (difference(ACCURACY, better[:count], other[:count]) for count in (2, 6))
    assert few.high - few.low > many.high - many.low > 0


def test_a_lower_loss_is_a_gain() -> None:
    scores = [Scores(value, np.full(RESAMPLES, value)) for value in (1.0, 3.0)]
    found = difference(METRICS["regression"]["mse"], scores[:1], scores[1:])
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)
