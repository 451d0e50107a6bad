"""The metrics of a run's model by slice, with 95% intervals."""

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from artifacts.nodes.metrics import read_plots
from artifacts.slices import OVERALL
from reports.drawing import charts
from reports.section import Section
from reports.source import Source
from reports.statistics.buckets import read_buckets
from reports.statistics.slices import ROWS, SliceResult, measure_slice, natural_order

MAX_CHARTS = 2


@dataclasses.dataclass(frozen=True)
class SliceTable:
    """The metrics of all slices.

    Attributes:
        names: Names of the metrics, in the order of the settings.
        slices: All rows first, then slices by name.
        charted: Names of the metrics that are drawn.
    """

    names: tuple[str, ...]
    slices: tuple[SliceResult, ...]
    charted: tuple[str, ...]


def read(source: Source) -> SliceTable:
    """Reads the metrics of a run.

    Raises:
        MissingError: The Evaluator did not finish, or its folder no longer exists.
    """
    plots = read_plots(source.path("Evaluator", "evaluation"))
    slices = []
    for name, measured in source.metrics.slices.items():
        plot = plots.get(name)
        buckets = read_buckets(plot.calibration_histogram_buckets) if plot else ()
        slices.append(measure_slice(name, measured, buckets, plot))
    slices.sort(key=lambda each: (each.name != OVERALL, natural_order(each.name)))
    found = {name for each in slices for name in each.metrics}
    configured = [name for name in (source.summary.metrics if source.summary else ()) if name in found]
    names = (*configured, *sorted(found - set(configured)))
    return SliceTable(names, tuple(slices), _charted(source, names) if len(slices) > 1 else ())


def draw(table: SliceTable) -> Sequence[Markup]:
    """Draws the first few metrics by slice."""
    return [charts.by_slice(table.slices, metric, f"s{number}") for number, metric in enumerate(table.charted)]


def _charted(source: Source, names: Sequence[str]) -> tuple[str, ...]:
    """Metrics that have a bound come first."""
    bounded = [each.metric for each in source.summary.thresholds] if source.summary else []
    ordered = [name for name in dict.fromkeys((*bounded, *names)) if name in names and name != ROWS]
    return tuple(ordered[:MAX_CHARTS])


SECTION = Section("metrics", "Metrics by slice", read, absent="Not evaluated", draw=draw)
