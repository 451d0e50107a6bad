"""Metrics of predictions, and comparisons of two models on the same rows."""

import numpy as np
from sklearn import metrics

RESAMPLES = 500
LEVEL = 95  # percent, of the interval of a difference
METRICS = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}


def score(task: str, label: np.ndarray, predictions: np.ndarray) -> float:
    """AUC of a binary task, accuracy of a multiclass task, or the root mean squared error of a regression.

    Args:
        task: The task.
        label: [N].
        predictions: [N, 1] or [N, C].
    """
    match task:
        case "binary":
            return float(metrics.roc_auc_score(label, predictions[:, 0]))
        case "multiclass":
            return float(np.mean(predictions.argmax(axis=1) == label))
        case _:
            return float(np.sqrt(np.mean(np.square(predictions[:, 0] - label))))


def is_better(task: str, first: float, second: float) -> bool:
    """Whether the first score is better than the second."""
    return first < second if task == "regression" else first > second


def interval(
    task: str, label: np.ndarray, first: np.ndarray, second: np.ndarray, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Interval of how much better the first predictions score than the second, over resampled rows.

    Returns:
        The ends of a percentile interval. Both are positive if the first model is better.
    """
    generator, differences = np.random.default_rng(0), []
    for _ in range(resamples):
        rows = generator.integers(0, len(label), len(label))
        if task == "binary" and len(np.unique(label[rows])) < 2:
            continue
        difference = score(task, label[rows], first[rows]) - score(task, label[rows], second[rows])
        differences.append(-difference if task == "regression" else difference)
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(differences, [tail, 100 - tail])
    return float(low), float(high)
