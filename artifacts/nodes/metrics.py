"""TFMA's metrics and plots by slice, as the Evaluator writes them."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from artifacts.names import EFFECTIVE_ROWS, GAIN, HIGH, LOW, TRIVIAL
from artifacts.slices import SliceValue, slice_name
from artifacts.thresholds import Measured


@dataclasses.dataclass(frozen=True)
class SliceMetrics:
    """Metrics of one slice.

    Attributes:
        values: The candidate's metrics by name.
        changes: Differences of the metrics from the baseline, by name, or empty if there is no baseline.
        gains: Gains over the trivial model, by name of the metric. See :func:`artifacts.thresholds.gain`.
        trivial: The trivial model's metrics by name.
        intervals: Bounds of the metrics' 95% intervals, by name, where they are known.
        effective_rows: Number of rows of equal weight whose metrics vary as much, or ``None`` if rows have no weights.
    """

    values: Mapping[str, float]
    changes: Mapping[str, float]
    gains: Mapping[str, float] = dataclasses.field(default_factory=dict)
    trivial: Mapping[str, float] = dataclasses.field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    effective_rows: float | None = None


@dataclasses.dataclass(frozen=True)
class Metrics:
    """The result of an evaluation.

    Attributes:
        slices: Metrics by name of the slice. ``overall`` covers all rows.
    """

    slices: Mapping[str, SliceMetrics]

    @property
    def has_baseline(self) -> bool:
        """Whether the candidate was compared with another model."""
        return any(each.changes for each in self.slices.values())

    def value(self, metric: str, in_slice: str, kind: Measured = "value") -> float | None:
        """Returns a metric of a slice, or what the kind says about it, or ``None`` if it was not measured."""
        found = self.slices.get(in_slice)
        if found is None:
            return None
        by_kind = {
            "value": found.values,
            "change": found.changes,
            "better_than_trivial": found.gains,
            "trivial": found.trivial,
        }
        return by_kind[kind].get(metric)


def read_metrics(folder: str | Path) -> Metrics:
    """Reads the metrics of a ``ModelEvaluation`` artifact."""
    return Metrics({name_of(each.slice_key): _slice(each) for each in tfma.load_metrics(str(folder))})


def read_plots(folder: str | Path) -> dict[str, metrics_for_slice_pb2.PlotData]:
    """Reads the candidate's plots of a ``ModelEvaluation`` artifact, by name of the slice."""
    found: dict[str, metrics_for_slice_pb2.PlotData] = {}
    for each in tfma.load_plots(str(folder)):
        data = found.setdefault(name_of(each.slice_key), metrics_for_slice_pb2.PlotData())
        for plot in each.plot_keys_and_values:
            if plot.key.model_name != tfma.BASELINE_KEY:
                data.MergeFrom(plot.value)
    return found


def _slice(message: metrics_for_slice_pb2.MetricsForSlice) -> SliceMetrics:
    values: dict[str, float] = {}
    changes: dict[str, float] = {}
    derived: dict[str, dict[str, float]] = {GAIN: {}, TRIVIAL: {}, LOW: {}, HIGH: {}}
    effective_rows = None
    for each in message.metric_keys_and_values:
        if each.key.model_name == tfma.BASELINE_KEY or not each.value.HasField("double_value"):
            continue
        value = each.value.double_value.value
        name, _, suffix = each.key.name.rpartition("/")  # the name of a class can have a slash
        if suffix in derived and not each.key.is_diff:
            derived[suffix][name] = value
        elif each.key.name == EFFECTIVE_ROWS:
            effective_rows = effective_rows if each.key.is_diff else value
        elif suffix not in derived:
            (changes if each.key.is_diff else values)[each.key.name] = value
    bounds = {name: (low, derived[HIGH][name]) for name, low in derived[LOW].items()}
    intervals = {name: each for name, each in bounds.items() if not math.isnan(sum(each))}
    return SliceMetrics(values, changes, derived[GAIN], derived[TRIVIAL], intervals, effective_rows)


def name_of(key: metrics_for_slice_pb2.SliceKey) -> str:
    """Returns the name of a slice that TFMA wrote."""
    columns: dict[str, SliceValue] = {}
    for each in key.single_slice_keys:
        value = getattr(each, each.WhichOneof("kind"))
        columns[each.column] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return slice_name(columns)
