"""Checks before a run that the eval split has enough rows for its thresholds to mean something."""

import math
from collections.abc import Callable, Sequence

from common.intervals import Interval, Z, wilson
from pipeline.config.errors import UserError
from pipeline.config.settings import EVAL, Config, Threshold
from pipeline.preflight.labels import LabelSummary
from pipeline.preflight.table import CheckedTable
from reports.statistics.intervals import roc_area

# Half the width of the 95% interval of an error divided by its expected value, times the square root of the number of
# rows, for errors that are normally distributed. R² is 1 minus an error that is 1 for the trivial model.
RELATIVE_ERRORS = {
    "mse": Z * math.sqrt(2),
    "r2": Z * math.sqrt(2),
    "rmse": Z / math.sqrt(2),
    "mae": Z * math.sqrt(math.pi / 2 - 1),
}


def check_eval_rows(config: Config, table: CheckedTable) -> list[str]:
    """Refuses a table that leaves too few rows for the eval split, and says which thresholds are close to chance.

    Returns:
        One line for each threshold over all rows whose margin is smaller than half of the metric's 95% interval.

    Raises:
        UserError: The eval split will have fewer rows than ``evaluation.min_rows``.
    """
    if table.labels is None or config.data.split_column is not None:
        return []
    rows, minimum = _expected_rows(config, table, table.labels), config.evaluation.min_rows
    if rows < minimum:
        used = table.labels.rows
        raise UserError(
            f"{config.data.path}: found {used:,} rows, of which about {rows:,} would be in the eval split; expected at "
            f"least {minimum:,} of them (evaluation.min_rows), since fewer say nothing about a model: add rows, or "
            "raise data.splits.eval"
        )
    found = []
    for index, threshold in enumerate(config.evaluation.thresholds):
        margin = None if threshold.slice else _margin(threshold, table.labels)
        half = None if margin is None else _half_width(threshold.metric, rows, table.labels, margin)
        if margin is not None and half is not None and half > margin:
            found.append(
                f"evaluation.thresholds.{index}: with about {rows:,} rows in the eval split, {threshold.metric} is "
                f"only known to ±{half:.2g} (95%), but the margin over the trivial model is {margin:.2g}: the "
                "decision is mostly chance, so add rows or raise the threshold"
            )
    return found


def _expected_rows(config: Config, table: CheckedTable, labels: LabelSummary) -> int:
    if config.data.test_path is not None:
        return table.test_rows
    sizes = config.data.splits
    return round(labels.rows * getattr(sizes, EVAL) / (sizes.train + sizes.validation + sizes.eval))


def _margin(threshold: Threshold, labels: LabelSummary) -> float | None:
    """How much better than the trivial model a metric has to be, or ``None`` if the threshold does not say it."""
    if threshold.better_than_trivial is not None:
        return threshold.better_than_trivial
    trivial = {"auc": 0.5, "accuracy": _largest_share(labels)}.get(threshold.metric)
    if threshold.min is None or trivial is None or threshold.min <= trivial:
        return None
    return threshold.min - trivial


def _half_width(metric: str, rows: int, labels: LabelSummary, margin: float) -> float | None:
    """Half of the 95% interval of a metric that just meets its margin, or ``None`` if there is no closed form."""
    if metric in RELATIVE_ERRORS:
        return RELATIVE_ERRORS[metric] / math.sqrt(rows)
    counts: Sequence[float] = [count * rows / max(labels.rows, 1) for count in labels.classes.values()]
    intervals: dict[str, Callable[[], Interval | None]] = {
        "accuracy": lambda: wilson(min(_largest_share(labels) + margin, 1.0), rows),
        "auc": lambda: roc_area(min(0.5 + margin, 0.999), max(counts[1], 1.0), max(counts[0], 1.0)),
    }
    interval = intervals[metric]() if metric in intervals else None
    return (interval.high - interval.low) / 2 if interval else None


def _largest_share(labels: LabelSummary) -> float:
    return max(labels.classes.values(), default=0) / max(labels.rows, 1)
