"""Charts with axes, drawn by Matplotlib.

Matplotlib draws SVG without a browser or JavaScript, so charts can be printed, need no network and follow the page's
colors. It takes a moment to import, so import this module only to write a page.
"""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from artifacts.nodes.ablation import AblationReport, Worth
from artifacts.nodes.training import Curve
from artifacts.nodes.trials import Trial
from artifacts.slices import OVERALL
from reports.drawing.svg import COLORS, shorten, to_markup
from reports.statistics.buckets import Bin
from reports.statistics.slices import SliceResult

MAX_SLICES = 40
# Average width in inches of a character of a slice's name, in the widest of the page's fonts.
LABEL_CHARACTER = 0.077
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "onegraph",
    "text.parse_math": False,  # a column may be called $x$
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), COLORS["ink"]),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), COLORS["muted"]),
    "grid.color": COLORS["line"],
}


def training_curve(curve: Curve, best_step: int | None, name: str) -> Markup:
    """Plots a metric by step, on the training batches and on the validation split."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4.4, 2.9)
        metric = shorten(curve.name)
        if any(map(math.isfinite, curve.train)):
            axes.plot(curve.steps, curve.train, "o-", color=COLORS["first"], label="training batches")
        axes.plot(curve.steps, curve.validation, "s-", color=COLORS["second"], label="validation split")
        if best_step is not None:
            axes.axvline(best_step, color=COLORS["muted"], linestyle=":", label=f"best: step {best_step}")
        axes.set(title=metric, xlabel="steps", ylabel=shorten(curve.name, 24))
        axes.legend(fontsize=9)
        _make_room(figure, axes)
        return to_markup(figure, name, f"{metric} over the training steps")


def trials(results: Sequence[Trial], name: str) -> Markup:
    """Draws the score of each trial in the order of ids, and the best so far."""
    ordered = sorted(results, key=lambda each: (len(each.id), each.id))
    scores = [each.score for each in ordered if each.score is not None]
    places = list(range(1, len(scores) + 1))
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4.4, 2.9)
        best = [min(scores[:place]) for place in places]
        axes.plot(places, scores, "o", color=COLORS["first"], label="trial")
        axes.step(places, best, where="post", color=COLORS["second"], label="best so far")
        axes.set(title="Trials", xlabel="trial", ylabel="validation loss")
        axes.locator_params(axis="x", integer=True)
        axes.legend(fontsize=9)
        _make_room(figure, axes)
        return to_markup(figure, name, f"validation loss of {len(scores)} trials")


def by_slice(slices: Sequence[SliceResult], metric: str, name: str) -> Markup:
    """Draws a metric of each slice with its interval, and a line at the value over all rows."""
    shown = [each for each in slices if metric in each.metrics and each.metrics[metric].value is not None]
    shown = shown[:MAX_SLICES]
    found = [each.metrics[metric] for each in shown]
    with mpl.rc_context(STYLE):
        labels = [_slice_label(each) for each in shown]
        figure = Figure(figsize=(4.6, 0.9 + 0.2 * len(shown)))
        axes = figure.add_subplot()
        width, height = figure.get_size_inches()
        room = 0.12 + LABEL_CHARACTER * max(map(len, labels), default=0)
        figure.subplots_adjust(left=room / width, right=0.97, top=1 - 0.35 / height, bottom=0.5 / height)
        axes.grid(visible=True, axis="x")
        for place, (each, measured) in enumerate(zip(shown, found, strict=True)):
            assert measured.value is not None
            color = COLORS["second"] if each.name == OVERALL else COLORS["first"]
            if measured.interval:
                axes.plot(measured.interval, (place, place), color=color)
            axes.plot(measured.value, place, "o", color=color)
            if each.name == OVERALL:
                axes.axvline(measured.value, color=color, linestyle=":", linewidth=1)
        axes.set_yticks(range(len(shown)), labels, fontsize=9)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        metric = shorten(metric, 24)
        axes.set_xlabel(metric)
        # From the edge of the chart, since the axes start far to the right.
        title = f"{metric} by slice" + (", 95% intervals" if any(each.interval for each in found) else "")
        figure.suptitle(title, x=0.02, y=1 - 0.08 / height, ha="left", va="top", size=11)
        return to_markup(figure, name, f"{metric} of {len(shown)} slices with 95% intervals")


def worths(found: Sequence[Worth], report: AblationReport, title: str, name: str) -> Markup:
    """Draws what columns are worth with their intervals, and the differences that count as nothing."""
    shown = found[:MAX_SLICES]
    colors = {"leak": COLORS["bad"], "harmful": COLORS["bad"], "noise": COLORS["muted"], "unclear": COLORS["muted"]}
    with mpl.rc_context(STYLE):
        labels = [shorten(each.name, 30) for each in shown]
        figure = Figure(figsize=(5.2, 0.9 + 0.2 * len(shown)))
        axes = figure.add_subplot()
        width, height = figure.get_size_inches()
        room = 0.12 + LABEL_CHARACTER * max(map(len, labels), default=0)
        figure.subplots_adjust(left=room / width, right=0.97, top=1 - 0.35 / height, bottom=0.5 / height)
        axes.grid(visible=True, axis="x")
        axes.axvspan(-report.margin, report.margin, color=COLORS["line"], linewidth=0)
        axes.axvline(0, color=COLORS["muted"], linewidth=1)
        for place, each in enumerate(shown):
            color = colors.get(each.verdict, COLORS["first"])
            axes.plot((each.worth.low, each.worth.high), (place, place), color=color)
            axes.plot(each.worth.value, place, "o", color=color)
        axes.set_yticks(range(len(shown)), labels, fontsize=9)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlabel(f"gain in {shorten(report.metric, 24)} over a model without it")
        figure.suptitle(f"{title}, 95% intervals", x=0.02, y=1 - 0.08 / height, ha="left", va="top", size=11)
        return to_markup(figure, name, f"{title} with 95% intervals: {len(shown)} of {len(found)}")


def calibration(bins: Sequence[Bin], positive: str, name: str) -> Markup:
    """Plots the observed fraction of class 1 against the mean prediction."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4.0, 3.8)
        predicted, observed = [each.predicted for each in bins], [each.observed for each in bins]
        errors = [
            [max(each.observed - each.interval.low, 0.0) for each in bins],
            [max(each.interval.high - each.observed, 0.0) for each in bins],
        ]
        axes.plot((0, 1), (0, 1), ":", color=COLORS["muted"], label="perfect")
        axes.errorbar(
            predicted, observed, errors, fmt="o-", color=COLORS["first"], label="observed, 95% interval", capsize=2
        )
        axes.set(title="Calibration", xlabel="mean prediction", ylabel=f"fraction of {shorten(positive, 24)}")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(fontsize=9, loc="upper left")
        return to_markup(figure, name, f"observed fraction against mean prediction in {len(bins)} bins")


def roc(points: Sequence[tuple[float, float]], name: str) -> Markup:
    """Plots the true positive rate against the false positive rate."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4.0, 3.8)
        false, true = zip(*points, strict=True)
        axes.plot((0, 1), (0, 1), ":", color=COLORS["muted"], label="by chance")
        axes.plot(false, true, color=COLORS["first"], label="this model")
        axes.set(title="ROC curve", xlabel="false positive rate", ylabel="true positive rate")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(fontsize=9, loc="lower right")
        return to_markup(figure, name, f"ROC curve of {len(points)} points")


def over_time(metric: str, labels: Sequence[str], values: Sequence[float], name: str) -> Markup:
    """Plots a metric by run, oldest first."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4.6, 2.6)
        axes.plot(range(len(values)), values, "o-", color=COLORS["first"])
        shown = sorted({0, len(labels) - 1})
        axes.set_xticks(shown, [labels[index] for index in shown])
        if len(shown) > 1:  # keeps the labels inside the chart
            first, last = axes.get_xticklabels()
            first.set_horizontalalignment("left")
            last.set_horizontalalignment("right")
        axes.set(title=shorten(metric), xlabel="run, oldest first", ylabel=shorten(metric, 24))
        _make_room(figure, axes)
        return to_markup(figure, name, f"{shorten(metric)} over {len(labels)} runs")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    figure.subplots_adjust(left=0.75 / width, right=1 - 0.15 / width, top=1 - 0.35 / height, bottom=0.55 / height)
    axes.grid(visible=True)
    return figure, axes


def _make_room(figure: Figure, axes: Axes) -> None:
    """Sets the left margin to the width of the tick labels."""
    labels = axes.yaxis.get_major_formatter().format_ticks(list(axes.get_yticks()))
    longest = max(map(len, labels), default=0)
    figure.subplots_adjust(left=(0.36 + 0.085 * longest) / figure.get_figwidth())


def _slice_label(each: SliceResult) -> str:
    rows = "" if each.rows is None else f" ({each.rows:,})"
    return shorten(each.name, 23) + rows
