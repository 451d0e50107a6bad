"""Times lineage queries on a large and a small store. Time must grow with the result, not with the store."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.lineage.synthetic_store import DAG, RUNS_PER_TABLE, StoreFiller, version_of
from benchmarks.targets import Target, print_table, report_targets
from benchmarks.timing import median_seconds
from lineage.queries.find_artifact import find_artifact
from lineage.queries.impact import impact
from lineage.queries.trace import trace
from lineage.store.connection import open_reader

EXECUTIONS = 10_000
ARTIFACTS_PER_OUTPUT = 7  # for five artifacts per execution
RATIO = 10  # of the sizes of the two stores
REPEATS, ROUNDS = 3, 5
MAX_SECONDS = {"trace": 2.0, "impact": 2.0, "runs": 1.0}
MAX_GROWTH = 2.0  # from the small store to the large one
QUERIES = ("trace", "impact", "runs")


def main() -> None:
    """Prints the times and the targets. Exits with 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage", description=__doc__)
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help="number of executions in the large store")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lineage") as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        runs = arguments.executions // len(DAG) + 1
        sizes = {"large": _fill(large, runs), "small": _fill(small, runs // RATIO)}
        calls = {
            **{f"{name}, large": call for name, call in _queries(large, runs).items()},
            **{f"{name}, small": call for name, call in _queries(small, runs // RATIO).items()},
        }
        seconds = median_seconds(calls, REPEATS, ROUNDS)
    print_table("stores", sizes)
    print_table("median, with opening the store", {name: f"{each * 1000:.1f} ms" for name, each in seconds.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps({"sizes": sizes, "seconds": seconds}, indent=2) + "\n")
    report_targets(
        [Target(f"{name}, seconds", seconds[f"{name}, large"], MAX_SECONDS[name], at_most=True) for name in QUERIES]
        + [
            Target(
                f"{name}: large store / small store",
                seconds[f"{name}, large"] / seconds[f"{name}, small"],
                MAX_GROWTH,
                at_most=True,
            )
            for name in ("trace", "impact")
        ]
    )


def _fill(output: Path, runs: int) -> str:
    start = time.monotonic()
    filler = StoreFiller(output, ARTIFACTS_PER_OUTPUT)
    filler.fill(runs)
    seconds = time.monotonic() - start
    return f"{runs} runs, {filler.executions} executions, {filler.artifacts} artifacts, filled in {seconds:.0f} s"


def _queries(output: Path, runs: int) -> dict[str, Callable[[int], object]]:
    """Returns the queries to time. Each repeat asks for another version, or for the table of another run."""

    def trace_version(repeat: int) -> object:
        reader = open_reader(output)
        return trace(reader, find_artifact(reader, output, version_of(runs // (repeat + 2))))

    def impact_of_table(repeat: int) -> object:
        reader = open_reader(output)
        run = runs // (repeat + 2) // RUNS_PER_TABLE * RUNS_PER_TABLE
        execution = run * len(DAG) + list(DAG).index("ExampleGen") + 1
        return impact(reader, find_artifact(reader, output, f"/artifacts/ExampleGen/examples/{execution}"))

    return {"trace": trace_version, "impact": impact_of_table, "runs": lambda _: open_reader(output).runs()}


if __name__ == "__main__":
    main()
