"""Queries over a store of years beside those over one of a tenth: do they grow with the answer, or with the store?"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.lineage.synthetic_store import DAG, RUNS_A_TABLE, Filler, version_of
from benchmarks.targets import Target, print_table, report_targets
from benchmarks.timing import median_seconds
from lineage.queries import impact, lookup, trace
from lineage.queries.runs import all_runs
from lineage.store.connection import connect

EXECUTIONS = 10_000
ARTIFACTS_AN_OUTPUT = 7  # so that there are five artifacts an execution
TENTH = 10
REPEATS, ROUNDS = 3, 5
MAX_SECONDS = {"trace": 2.0, "impact": 2.0, "runs": 1.0}
MOST_GROWTH = 2.0  # of ten times the store
QUERIES = ("trace", "impact", "runs")


def main() -> None:
    """Prints the times and whether the promises are kept; exits with 1 if one is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage", description=__doc__)
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help="in the large store")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lineage") as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        runs = arguments.executions // len(DAG) + 1
        sizes = {"large": _fill(large, runs), "small": _fill(small, runs // TENTH)}
        calls = {
            **{f"{name}, large": call for name, call in _queries(large, runs).items()},
            **{f"{name}, small": call for name, call in _queries(small, runs // TENTH).items()},
        }
        seconds = median_seconds(calls, REPEATS, ROUNDS)
    print_table("stores", sizes)
    print_table("median, the store opened anew", {name: f"{each * 1000:.1f} ms" for name, each in seconds.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps({"sizes": sizes, "seconds": seconds}, indent=2) + "\n")
    report_targets(
        [Target(f"{name}, seconds", seconds[f"{name}, large"], MAX_SECONDS[name], at_most=True) for name in QUERIES]
        + [
            Target(
                f"{name}: {TENTH} times the store / the store",
                seconds[f"{name}, large"] / seconds[f"{name}, small"],
                MOST_GROWTH,
                at_most=True,
            )
            for name in ("trace", "impact")
        ]
    )


def _fill(output: Path, runs: int) -> str:
    start = time.monotonic()
    filler = Filler(output, ARTIFACTS_AN_OUTPUT)
    filler.fill(runs)
    seconds = time.monotonic() - start
    return f"{runs} runs, {filler.executions} executions, {filler.artifacts} artifacts, filled in {seconds:.0f} s"


def _queries(output: Path, runs: int) -> dict[str, Callable[[int], object]]:
    """What to time: another version each time, and the table that a run was made from."""

    def traced(repeat: int) -> object:
        store = connect(output)
        target = lookup.find(store, output, version_of(runs // (repeat + 2)))
        assert target.artifact
        return trace.trace(store, target.artifact)

    def impacted(repeat: int) -> object:
        store = connect(output)
        table = runs // (repeat + 2) // RUNS_A_TABLE * RUNS_A_TABLE
        node = list(DAG).index("ExampleGen")
        target = lookup.find(store, output, f"/artifacts/ExampleGen/examples/{table * len(DAG) + node + 1}")
        assert target.artifact
        return impact.impact(store, target.artifact)

    return {"trace": traced, "impact": impacted, "runs": lambda _: all_runs(connect(output))}


if __name__ == "__main__":
    main()
