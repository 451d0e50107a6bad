"""Tables and promises of the benchmark of whole runs, from what it measured."""

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.runs.measurements import Contestant, Ingested, Measured, Run, Size, Starts, median
from benchmarks.targets import Target
from pipeline.nodes import NODES

# Copies of the sample from which on ratios of whole runs, and that of the rerun's whole command, are promised.
COPIES_FOR_RATIOS, COPIES_FOR_RERUN = 10, 100
LEAST_INGEST, MOST_LOOP, MOST_MEMORY = 10.0, 2.0, 1.5
LEAST_SPEED, MOST_RERUN = 3.0, 0.05
MOST_HELP, MOST_START = 1.0, 0.6
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
    """A table: a title, names of its columns, and its rows as text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def promises(measured: Measured) -> list[Target]:
    """What was promised, with what was measured; medians of the rounds."""
    found = list[Target]()
    large = [size for size in measured.sizes if size.copies >= COPIES_FOR_RATIOS]
    for size in large:
        found += [*_of_ingest(size), *_of_runs(size)]
    if len(large) > 1:
        small, most = large[0], large[-1]
        ratio = _ingest_peak(most) / _ingest_peak(small)
        found.append(Target(f"ingest's peak memory, {most.name} / {small.name}", ratio, MOST_MEMORY, at_most=True))
    if measured.starts:
        found += _of_starts(measured.starts)
    return found


def markdown(measured: Measured) -> str:
    """The tables and the promises, as docs/performance.md has them."""
    machine = measured.machine
    rounds = ", ".join(f"{len(size.onegraph)} of {size.name}" for size in measured.sizes)
    blocks = [
        f"On {machine['cores']} cores ({machine['processor']}) with {machine['memory'] / 2**30:.0f} GB, "
        f"TFX {machine['tfx']}, TensorFlow {machine['tensorflow']}, Beam {machine['apache-beam']}, "
        f"Python {machine['python']}; medians of the rounds ({rounds}); "
        f"load of the machine before: {machine['load']:.1f}."
    ]
    kept = [
        (
            each.name,
            f"{each.value:.3g}",
            f"{'≤' if each.at_most else '≥'} {each.bound:g}",
            "kept" if each.met else "missed",
        )
        for each in promises(measured)
    ]
    for lines in [*_tables(measured), Lines("Promises", ("what", "measured", "promised", ""), kept)]:
        ruler = ["---", *["---:"] * (len(lines.columns) - 1)]
        rows = [f"| {' | '.join(row)} |" for row in (lines.columns, ruler, *lines.rows)]
        blocks += [f"### {lines.title}", "\n".join(rows)]
    return "\n\n".join(blocks)


def show(measured: Measured) -> None:
    """Prints the tables."""
    for lines in _tables(measured):
        table = Table(title=lines.title, title_justify="left")
        for index, column in enumerate(lines.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in lines.rows:
            table.add_row(*row)
        Console().print(table)


def _of_ingest(size: Size) -> Iterator[Target]:
    seconds = {name: median(rounds, lambda each: each.seconds) for name, rounds in size.ingest.items()}
    if "template" in seconds:
        ratio = seconds["template"] / seconds["onegraph"]
        yield Target(f"{size.name}: {INGEST['template']} / ingest", ratio, LEAST_INGEST)
    yield Target(
        f"{size.name}: ingest / {INGEST['loop']}", seconds["onegraph"] / seconds["loop"], MOST_LOOP, at_most=True
    )


def _of_runs(size: Size) -> Iterator[Target]:
    whole, nodes = (lambda run: run.seconds), (lambda run: run.in_nodes)
    yield Target(
        f"{size.name}: the template's run / this pipeline's",
        median(size.template, whole) / median(size.onegraph, whole),
        LEAST_SPEED,
    )
    rerun = median(size.rerun, nodes) / median(size.onegraph, nodes)
    yield Target(f"{size.name}: nodes of an unchanged rerun / of the first run", rerun, MOST_RERUN, at_most=True)
    if size.copies >= COPIES_FOR_RERUN:
        rerun = median(size.rerun, whole) / median(size.onegraph, whole)
        yield Target(f"{size.name}: an unchanged rerun / the first run", rerun, MOST_RERUN, at_most=True)


def _ingest_peak(size: Size) -> float:
    return median(size.ingest["onegraph"], lambda each: each.peak)


def _of_starts(starts: Starts) -> Iterator[Target]:
    yield Target("local_runner.py --help, seconds", statistics.median(starts.help), MOST_HELP, at_most=True)
    ratio = statistics.median(starts.first_node) / statistics.median(starts.tfx)
    yield Target("the first node starts / from tfx import v1", ratio, MOST_START, at_most=True)


def _tables(measured: Measured) -> Iterator[Lines]:
    if measured.sizes:
        sides = ["", *(f"{size.name}: {who}" for size in measured.sizes for who in ("template", "onegraph"))]
        yield Lines("Whole runs, seconds", sides, [*_node_rows(measured.sizes), *_command_rows(measured.sizes)])
        yield Lines("Quality on each one's eval split, and memory", sides, list(_quality_rows(measured.sizes)))
        yield Lines("Ingest alone", ["", *(size.name for size in measured.sizes)], list(_ingest_rows(measured.sizes)))
    if measured.starts:
        rows = [(what, f"{seconds:.2f}") for what, seconds in _starts(measured.starts).items()]
        yield Lines("Start-up, seconds", ("", "from the start of the process"), rows)


def _node_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    """Seconds by node, in the order of the DAG; the template does not have all of them."""
    for name in NODES:
        cells = list[str]()
        for size in sizes:
            for runs in (size.template, size.onegraph):
                there = [nodes[name] for nodes in map(_seconds, runs) if name in nodes]
                cells.append(f"{statistics.median(there):.2f}" if there else NONE)
        if set(cells) != {NONE}:
            yield (name, *cells)


def _command_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    theirs = {name for size in sizes for run in size.template for name in _seconds(run)}
    both = {name for size in sizes for run in size.onegraph for name in _seconds(run)} & theirs
    measures: Mapping[str, Callable[[Run], float]] = {
        "all nodes, added up": lambda run: run.in_nodes,
        "nodes that both have, added up": lambda run: sum(_seconds(run).get(name, 0) for name in both),
        "the whole command, imports and all": lambda run: run.seconds,
        "processor time, all cores together": lambda run: run.cpu,
    }
    for what, measure in measures.items():
        pairs = [(median(size.template, measure), median(size.onegraph, measure)) for size in sizes]
        yield what, *(f"{seconds:.1f}" for pair in pairs for seconds in pair)
        yield "… template / onegraph", *(cell for one, other in pairs for cell in (NONE, f"{one / other:.2f}"))
    for what in ("all nodes, added up", "the whole command, imports and all"):
        again = [median(size.rerun, measures[what]) for size in sizes]
        yield f"unchanged rerun: {what}", *(cell for seconds in again for cell in (NONE, f"{seconds:.1f}"))


def _seconds(run: Run) -> Mapping[str, float]:
    """Seconds of a run's nodes by this pipeline's name of each."""
    return {OUR_NAMES.get(name, name): seconds for name, seconds in run.nodes.items()}


def _quality_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    pairs = [runs for size in sizes for runs in (size.template, size.onegraph)]
    for metric, name in (("auc", "AUC"), ("accuracy", "accuracy")):
        yield name, *(f"{median(runs, lambda run: run.quality[metric]):.3f}" for runs in pairs)  # noqa: B023
    majority = [median(size.template, lambda run: run.quality["majority"]) for size in sizes]
    yield "accuracy of one answer to all rows", *(cell for share in majority for cell in (f"{share:.3f}", NONE))
    yield "peak memory, MB", *(f"{median(runs, lambda run: run.peak) / MEGABYTE:,.0f}" for runs in pairs)


def _ingest_rows(sizes: Sequence[Size]) -> Iterator[Sequence[str]]:
    measures: Mapping[str, Callable[[Ingested], float]] = {
        "seconds": lambda each: each.seconds,
        "peak memory, MB": lambda each: each.peak / MEGABYTE,
        "of which imports, MB": lambda each: each.imported / MEGABYTE,
    }
    for what, measure in measures.items():
        for contestant, name in INGEST.items():
            found = [size.ingest.get(contestant) for size in sizes]
            form = "{:.2f}" if what == "seconds" else "{:,.0f}"
            yield f"{name}: {what}", *(form.format(median(each, measure)) if each else NONE for each in found)


def _starts(starts: Starts) -> dict[str, float]:
    return {
        "local_runner.py --help, to its end": statistics.median(starts.help),
        "from tfx import v1, to its end": statistics.median(starts.tfx),
        "local_runner.py, until its first node starts": statistics.median(starts.first_node),
    }
