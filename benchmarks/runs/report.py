"""Tables and targets of the benchmark of complete runs."""

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.runs.measurements import Contestant, IngestRun, Measurements, Run, Size, StartTimes, median
from benchmarks.targets import Target
from pipeline.nodes import NODES

# Minimum copies of the sample for targets on complete runs, and for the target on the command of a rerun.
COPIES_FOR_RATIOS, COPIES_FOR_RERUN = 10, 100
MIN_INGEST, MAX_LOOP, MAX_MEMORY = 10.0, 2.0, 1.5
MIN_SPEEDUP, MAX_RERUN = 3.0, 0.05
MAX_HELP, MAX_START = 1.0, 0.6
INGEST: Mapping[Contestant, str] = {
    "template": "TFX's CsvExampleGen",
    "onegraph": "this pipeline's ExampleGen",
    "loop": "a plain loop",
}
OUR_NAMES = {"CsvExampleGen": "ExampleGen"}
NONE = "–"  # noqa: RUF001
MEGABYTE = 1e6


@dataclasses.dataclass(frozen=True)
class Lines:
    """A table with a title, column names and rows of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def targets(measured: Measurements) -> list[Target]:
    """Returns the targets with their measured values, which are medians of the rounds."""
    found = list[Target]()
    large = [size for size in measured.sizes if size.copies >= COPIES_FOR_RATIOS]
    for size in large:
        found += [*_ingest_targets(size), *_run_targets(size)]
    if len(large) > 1:
        smallest, largest = large[0], large[-1]
        ratio = _ingest_peak(largest) / _ingest_peak(smallest)
        found.append(
            Target(f"peak memory of ingest, {largest.name} / {smallest.name}", ratio, MAX_MEMORY, at_most=True)
        )
    if measured.starts:
        found += _start_targets(measured.starts)
    return found


def markdown(measured: Measurements) -> str:
    """Returns the tables and the targets as Markdown, for docs/performance.md."""
    machine = measured.machine
    rounds = ", ".join(f"{len(size.onegraph)} of {size.name}" for size in measured.sizes)
    blocks = [
        f"On {machine['cores']} cores ({machine['processor']}) with {machine['memory'] / 2**30:.0f} GB, "
        f"TFX {machine['tfx']}, TensorFlow {machine['tensorflow']}, Beam {machine['apache-beam']}, "
        f"Python {machine['python']}; medians of the rounds ({rounds}); "
        f"load average before: {machine['load']:.1f}."
    ]
    target_rows = [
        (
            each.name,
            f"{each.value:.3g}",
            f"{'≤' if each.at_most else '≥'} {each.bound:g}",
            "met" if each.is_met else "missed",
        )
        for each in targets(measured)
    ]
    for lines in [*_tables(measured), Lines("Targets", ("measurement", "measured", "target", ""), target_rows)]:
        ruler = ["---", *["---:"] * (len(lines.columns) - 1)]
        rows = [f"| {' | '.join(row)} |" for row in (lines.columns, ruler, *lines.rows)]
        blocks += [f"### {lines.title}", "\n".join(rows)]
    return "\n\n".join(blocks)


def print_tables(measured: Measurements) -> None:
    """Prints the tables."""
    for lines in _tables(measured):
        table = Table(title=lines.title, title_justify="left")
        for index, column in enumerate(lines.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in lines.rows:
            table.add_row(*row)
        Console().print(table)


def _ingest_targets(size: Size) -> Iterator[Target]:
    seconds = {name: median(rounds, lambda each: each.seconds) for name, rounds in size.ingest.items()}
    if "template" in seconds:
        ratio = seconds["template"] / seconds["onegraph"]
        yield Target(f"{size.name}: {INGEST['template']} / ingest", ratio, MIN_INGEST)
    yield Target(
        f"{size.name}: ingest / {INGEST['loop']}", seconds["onegraph"] / seconds["loop"], MAX_LOOP, at_most=True
    )


def _run_targets(size: Size) -> Iterator[Target]:
    command, nodes = (lambda run: run.seconds), (lambda run: run.in_nodes)
    yield Target(
        f"{size.name}: run of the template / of this pipeline",
        median(size.template, command) / median(size.onegraph, command),
        MIN_SPEEDUP,
    )
    rerun = median(size.rerun, nodes) / median(size.onegraph, nodes)
    yield Target(f"{size.name}: nodes of an unchanged rerun / of the first run", rerun, MAX_RERUN, at_most=True)
    if size.copies >= COPIES_FOR_RERUN:
        rerun = median(size.rerun, command) / median(size.onegraph, command)
        yield Target(f"{size.name}: an unchanged rerun / the first run", rerun, MAX_RERUN, at_most=True)


def _ingest_peak(size: Size) -> float:
    return median(size.ingest["onegraph"], lambda each: each.peak)


def _start_targets(starts: StartTimes) -> Iterator[Target]:
    yield Target("local_runner.py --help, seconds", statistics.median(starts.help), MAX_HELP, at_most=True)
    ratio = statistics.median(starts.first_node) / statistics.median(starts.tfx)
    yield Target("start of the first node / from tfx import v1", ratio, MAX_START, at_most=True)


def _tables(measured: Measurements) -> Iterator[Lines]:
    if measured.sizes:
        sides = [
            "",
            *(f"{size.name}: {contestant}" for size in measured.sizes for contestant in ("template", "onegraph")),
        ]
        yield Lines("Complete runs, seconds", sides, [*_node_rows(measured.sizes), *_command_rows(measured.sizes)])
        yield Lines("Quality on the eval split, and memory", sides, list(_quality_rows(measured.sizes)))
        yield Lines("Ingest only", ["", *(size.name for size in measured.sizes)], list(_ingest_rows(measured.sizes)))
    if measured.starts:
        rows = [(name, f"{seconds:.2f}") for name, seconds in _start_times(measured.starts).items()]
        yield Lines("Startup, seconds", ("", "from the start of the process"), rows)


def _node_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    """Yields seconds by node, in the order of the DAG. The template does not have all nodes."""
    for name in NODES:
        cells = list[str]()
        for size in sizes:
            for runs in (size.template, size.onegraph):
                there = [nodes[name] for nodes in map(_seconds, runs) if name in nodes]
                cells.append(f"{statistics.median(there):.2f}" if there else NONE)
        if set(cells) != {NONE}:
            yield (name, *cells)


def _command_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    template_nodes = {name for size in sizes for run in size.template for name in _seconds(run)}
    both = {name for size in sizes for run in size.onegraph for name in _seconds(run)} & template_nodes
    measures: Mapping[str, Callable[[Run], float]] = {
        "sum of all nodes": lambda run: run.in_nodes,
        "sum of the nodes that both have": lambda run: sum(_seconds(run).get(name, 0) for name in both),
        "complete command, including imports": lambda run: run.seconds,
        "CPU time": lambda run: run.cpu,
    }
    for name, measure in measures.items():
        pairs = [(median(size.template, measure), median(size.onegraph, measure)) for size in sizes]
        yield name, *(f"{seconds:.1f}" for pair in pairs for seconds in pair)
        yield "… template / onegraph", *(cell for one, other in pairs for cell in (NONE, f"{one / other:.2f}"))
    for name in ("sum of all nodes", "complete command, including imports"):
        again = [median(size.rerun, measures[name]) for size in sizes]
        yield f"unchanged rerun: {name}", *(cell for seconds in again for cell in (NONE, f"{seconds:.1f}"))


def _seconds(run: Run) -> Mapping[str, float]:
    """Returns the seconds of a run's nodes, by the name in this pipeline."""
    return {OUR_NAMES.get(name, name): seconds for name, seconds in run.nodes.items()}


def _quality_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    pairs = [runs for size in sizes for runs in (size.template, size.onegraph)]
    for metric, name in (("auc", "AUC"), ("accuracy", "accuracy")):
        yield name, *(f"{median(runs, lambda run: run.quality[metric]):.3f}" for runs in pairs)  # noqa: B023
    majority = [median(size.template, lambda run: run.quality["majority"]) for size in sizes]
    yield (
        "accuracy of always predicting the majority class",
        *(cell for accuracy in majority for cell in (f"{accuracy:.3f}", NONE)),
    )
    yield "peak memory, MB", *(f"{median(runs, lambda run: run.peak) / MEGABYTE:,.0f}" for runs in pairs)


def _ingest_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    measures: Mapping[str, Callable[[IngestRun], float]] = {
        "seconds": lambda each: each.seconds,
        "peak memory, MB": lambda each: each.peak / MEGABYTE,
        "peak memory after imports, MB": lambda each: each.imported / MEGABYTE,
    }
    for name, measure in measures.items():
        for contestant, label in INGEST.items():
            found = [size.ingest.get(contestant) for size in sizes]
            form = "{:.2f}" if name == "seconds" else "{:,.0f}"
            yield f"{label}: {name}", *(form.format(median(each, measure)) if each else NONE for each in found)


def _start_times(starts: StartTimes) -> dict[str, float]:
    return {
        "local_runner.py --help": statistics.median(starts.help),
        "from tfx import v1": statistics.median(starts.tfx),
        "local_runner.py, to the start of its first node": statistics.median(starts.first_node),
    }
