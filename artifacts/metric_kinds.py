"""What the Evaluator's metrics mean: which values are better, and when they are undefined."""

from typing import Literal, NamedTuple

Better = Literal["higher", "lower"]


class MetricKind(NamedTuple):
    """What is known about a metric.

    Attributes:
        better: Which values are better, or ``None`` if the best value is neither the highest nor the lowest.
        needs: What must be there so that it is defined.
        has_trivial: Whether a model that ignores the features is a sensible reference.
    """

    better: Better | None
    needs: str = "rows with a weight, and finite predictions"
    has_trivial: bool = True


_TWO_CLASSES = "rows of two classes"
_AVERAGES = {
    f"{name}_{average}": MetricKind("higher")
    for name in ("precision", "recall", "f1")
    for average in ("macro", "weighted")
}
KINDS: dict[str, MetricKind] = {
    "auc": MetricKind("higher", "rows of both classes"),
    "pr_auc": MetricKind("higher", "rows of both classes"),
    "average_precision": MetricKind("higher", "rows of class 1"),
    "accuracy": MetricKind("higher"),
    "balanced_accuracy": MetricKind("higher", _TWO_CLASSES),
    "mcc": MetricKind("higher", _TWO_CLASSES),
    "precision": MetricKind("higher", "rows that are predicted to be of the class"),
    # A model that predicts the class for every row has a recall of 1.
    "recall": MetricKind("higher", "rows of the class", has_trivial=False),
    "f1": MetricKind("higher", "rows of the class, or predicted to be"),
    **_AVERAGES,
    "top_k_accuracy": MetricKind("higher"),
    "loss": MetricKind("lower"),
    "log_loss": MetricKind("lower"),
    "brier": MetricKind("lower"),
    "expected_cost": MetricKind("lower"),
    "optimal_cost": MetricKind("lower"),
    "mse": MetricKind("lower"),
    "rmse": MetricKind("lower"),
    "mae": MetricKind("lower"),
    "mape": MetricKind("lower", "labels other than 0"),
    "median_absolute_error": MetricKind("lower"),
    "absolute_error_quantile": MetricKind("lower"),
    "r2": MetricKind("higher", "labels that differ"),
    "calibration": MetricKind(None, "labels that do not sum to 0", has_trivial=False),
    "mean_label": MetricKind(None, has_trivial=False),
    "mean_prediction": MetricKind(None, has_trivial=False),
    "example_count": MetricKind(None, has_trivial=False),
}


def base_name(metric: str) -> str:
    """The name of a metric without its argument.

    >>> base_name("recall(New York)")
    'recall'
    """
    return metric.partition("(")[0]


def kind_of(metric: str) -> MetricKind | None:
    """What is known about a metric, with or without an argument. Nothing about those of the TFLite model."""
    return KINDS.get(base_name(metric))


def has_trivial(metric: str) -> bool:
    """Whether a model that ignores the features is a sensible reference for a metric."""
    kind = kind_of(metric)
    return kind is not None and kind.has_trivial
