"""TFMA's metrics and plots by slice, as the Evaluator writes them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from artifacts.slices import SliceValue, slice_name
from artifacts.thresholds import Kind


@dataclasses.dataclass(frozen=True)
class SliceMetrics:
    """Metrics of one slice.

    Attributes:
        values: The candidate's metrics by name.
        changes: Differences of the metrics from the baseline, by name, or empty if there is no baseline.
    """

    values: Mapping[str, float]
    changes: Mapping[str, float]


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

    def value(self, metric: str, in_slice: str, kind: Kind = "value") -> float | None:
        """Returns a metric of a slice, or its difference from the baseline, or ``None`` if it was not measured."""
        found = self.slices.get(in_slice)
        if found is None:
            return None
        return (found.values if kind == "value" else found.changes).get(metric)


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
    for each in message.metric_keys_and_values:
        if each.key.model_name != tfma.BASELINE_KEY and each.value.HasField("double_value"):
            (changes if each.key.is_diff else values)[each.key.name] = each.value.double_value.value
    return SliceMetrics(values, changes)


def name_of(key: metrics_for_slice_pb2.SliceKey) -> str:
    """Returns the name of a slice that TFMA wrote."""
    columns: dict[str, SliceValue] = {}
    for each in key.single_slice_keys:
        value = getattr(each, each.WhichOneof("kind"))
        columns[each.column] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return slice_name(columns)
