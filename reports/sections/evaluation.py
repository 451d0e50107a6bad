"""How good a run's model is: metrics by slice with intervals, the policy and its decision, and the plots."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from artifacts.metrics import SliceMetrics, read_metrics, read_plots
from artifacts.slices import OVERALL
from reports.source import Source
from reports.statistics.buckets import Bin, Bucket, Confusion, calibration, counts, read_buckets, read_confusion, roc
from reports.statistics.intervals import BINARY, Interval, mean_of_sizes, wilson

ROWS = "example_count"
# Without rows of both classes TFMA's areas are 0, which reads as a bad model.
NEEDS_BOTH = ("auc", "pr_auc")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A metric of one slice.

    Attributes:
        value: ``None`` where it is not defined.
        interval: Its 95 % interval; ``None`` where no closed form gives one.
        change: Difference from the baseline; ``None`` if there is none.
    """

    value: float | None
    interval: Interval | None
    change: float | None


@dataclasses.dataclass(frozen=True)
class Slice:
    """The rows that one or more columns hold one value each of.

    Attributes:
        name: ``overall``, or ``column=value`` pairs.
        rows: How many; ``None`` where no metric tells.
        metrics: By name.
    """

    name: str
    rows: int | None
    metrics: Mapping[str, Measured]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the Evaluator found on the eval split.

    Attributes:
        names: The metrics in the order of the settings.
        slices: All rows first, then by name.
        calibration: Predicted beside observed shares over all rows; empty but for a binary classifier.
        roc: False and true positive rates over all rows; empty but for a binary classifier.
        confusion: Over all rows; ``None`` but for several classes.
    """

    names: tuple[str, ...]
    slices: tuple[Slice, ...]
    calibration: tuple[Bin, ...]
    roc: tuple[tuple[float, float], ...]
    confusion: Confusion | None

    @property
    def overall(self) -> Slice | None:
        """All rows; ``None`` where the split has none."""
        return next((each for each in self.slices if each.name == OVERALL), None)

    @property
    def has_baseline(self) -> bool:
        """Whether there was a model to compare with."""
        return any(each.change is not None for part in self.slices for each in part.metrics.values())


def read_evaluation(source: Source) -> Evaluation:
    """The evaluation of a run.

    Raises:
        MissingError: The Evaluator did not finish, or its files are gone.
    """
    folder = source.path("Evaluator", "evaluation")
    classes = (source.problem.get("label") or {}).get("classes") or ()
    plots = read_plots(folder)
    buckets = {name: read_buckets(each.calibration_histogram_buckets) for name, each in plots.items()}
    slices = [_slice(name, each, buckets, plots) for name, each in read_metrics(folder).slices.items()]
    slices.sort(key=lambda each: (each.name != OVERALL, natural(each.name)))
    overall = plots.get(OVERALL)
    matrices = overall.multi_class_confusion_matrix_at_thresholds if overall else None
    found = {name for each in slices for name in each.metrics}
    configured = [name for name in source.summary.get("metrics", ()) if name in found]
    return Evaluation(
        names=(*configured, *sorted(found - set(configured))),
        slices=tuple(slices),
        calibration=calibration(buckets.get(OVERALL, ())),
        roc=roc(buckets.get(OVERALL, ())),
        confusion=read_confusion(matrices, classes) if matrices and matrices.matrices else None,
    )


def natural(name: str) -> list[tuple[int, float, str]]:
    """Sorts the numbers in slices' names as numbers."""
    key: list[tuple[int, float, str]] = []
    for pair in name.split(", "):
        column, _, value = pair.partition("=")
        try:
            key.append((0, float(value), column))
        except ValueError:
            key.append((1, 0.0, pair))
        key.insert(len(key) - 1, (1, 0.0, column))
    return key


def _slice(
    name: str,
    measured: SliceMetrics,
    buckets: Mapping[str, Sequence[Bucket]],
    plots: Mapping[str, metrics_for_slice_pb2.PlotData],
) -> Slice:
    values, changes = measured.values, measured.changes
    rows = _rows(values, buckets.get(name, ()), plots.get(name))
    metrics = {metric: _measured(metric, values, changes.get(metric), rows, buckets.get(name, ())) for metric in values}
    return Slice(name, None if rows is None else int(rows), metrics)


def _rows(
    values: Mapping[str, float], buckets: Sequence[Bucket], plot: metrics_for_slice_pb2.PlotData | None
) -> float | None:
    if ROWS in values:
        return values[ROWS]
    if buckets:
        return counts(buckets).rows
    matrices = plot.multi_class_confusion_matrix_at_thresholds.matrices if plot else ()
    return sum(entry.num_weighted_examples for entry in matrices[0].entries) if matrices else None


def _measured(
    metric: str, values: Mapping[str, float], change: float | None, rows: float | None, buckets: Sequence[Bucket]
) -> Measured:
    value = values[metric]
    counted = counts(buckets) if buckets else None
    one_class = counted is not None and counted.positives in (0, counted.rows)
    if not math.isfinite(value) or (metric in NEEDS_BOTH and one_class):
        return Measured(None, None, None)
    interval = None
    if counted and metric in BINARY:
        interval = BINARY[metric](value, counted)
    elif metric == "accuracy" and rows:
        interval = wilson(value, rows)
    elif metric == "mae" and "mse" in values and rows:
        interval = mean_of_sizes(value, values["mse"], rows)
    return Measured(value, interval, change if change is not None and math.isfinite(change) else None)
