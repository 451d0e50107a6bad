"""Compares complete runs with TFX's taxi template on the same rows, node by node, and measures ingest and startup.

The rows are the bundled sample, repeated with jitter. On two cores the default sizes take about 30 minutes, --copies
1,10 about 20 and --copies 1 about 10. Other load on the machine makes the numbers useless.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.runs import commands, taxi_table
from benchmarks.runs.measurements import Contestant, IngestRun, Measurements, Run, Size
from benchmarks.runs.report import markdown, print_tables, targets
from benchmarks.runs.startup import measure_starts
from benchmarks.targets import report_targets

COPIES, ROUNDS, STARTS = (1, 10, 100), 3, 5
LARGE = 100  # copies from which on there is one round, without TFX's ExampleGen alone, which would take minutes
OUT = Path("output/benchmarks/runs.json")


def main() -> None:
    """Prints the tables and the targets, and exits with 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs", description=__doc__)
    parser.add_argument(
        "--copies",
        type=_numbers,
        default=COPIES,
        metavar="N,N",
        help="sizes of the tables, in copies of the sample's 15,002 rows [1,10,100]",
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=ROUNDS,
        metavar="N",
        help=f"rounds per table; one for {LARGE} copies or more [{ROUNDS}]",
    )
    parser.add_argument(
        "--starts",
        type=_starts,
        default=STARTS,
        metavar="N",
        help=f"rounds of the startup benchmark; 0 skips it [{STARTS}]",
    )
    parser.add_argument(
        "--json", type=Path, default=OUT, metavar="FILE", help="file for all measurements [%(default)s]"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="file for the tables, as in docs/performance.md")
    arguments = parser.parse_args()
    machine = _machine()
    measured = Measurements(machine, measure_starts(arguments.starts) if arguments.starts else None, [])
    for copies in arguments.copies:
        rounds = arguments.rounds if copies < LARGE else 1
        measured = dataclasses.replace(measured, sizes=[*measured.sizes, _measure(copies, rounds)])
        _write(arguments.json, json.dumps(dataclasses.asdict(measured), indent=2))
    if arguments.markdown:
        _write(arguments.markdown, markdown(measured))
    print_tables(measured)
    report_targets(targets(measured))


def _measure(copies: int, rounds: int) -> Size:
    """Measures all rounds on one table. In each round, every contestant runs once."""
    with tempfile.TemporaryDirectory(prefix="runs") as folder:
        data, output = Path(folder) / "data", Path(folder) / "output"
        size = Size(copies, taxi_table.write(data / "taxi.csv", copies))
        for number in range(1, rounds + 1):
            _report(size, number, "template", template := _template(data, output / "template"))
            _report(size, number, "onegraph", onegraph := _onegraph(data, output / "onegraph"))
            _report(size, number, "rerun", rerun := _onegraph(data, output / "onegraph"))
            size.template.append(template)
            size.onegraph.append(onegraph)
            size.rerun.append(rerun)
            contestants: list[Contestant] = (
                ["onegraph", "loop"] if copies >= LARGE else ["template", "onegraph", "loop"]
            )
            for name in contestants:
                ingested = _ingest(name, data, output / "ingest" / name)
                size.ingest.setdefault(name, []).append(ingested)
                _report(size, number, f"ingest, {name}", ingested)
            shutil.rmtree(output)
    return size


def _template(data: Path, output: Path) -> Run:
    options = ["--data", str(data), "--output", str(output)]
    ran = commands.run(["-m", "benchmarks.runs.template", "run", *options])
    quality = commands.run(["-m", "benchmarks.runs.template", "quality", *options]).parsed
    return Run(ran.seconds, ran.cpu, ran.peak, ran.parsed, quality)


def _onegraph(data: Path, output: Path) -> Run:
    options = ["--data", str(data), "--output", str(output)]
    ran = commands.run(["local_runner.py", "--no-tune", "--json", *options])
    nodes = {node["id"]: node["seconds"] for node in ran.parsed["nodes"]}
    quality = {name: ran.parsed["metrics"][name] for name in ("auc", "accuracy")}
    return Run(ran.seconds, ran.cpu, ran.peak, nodes, quality)


def _ingest(contestant: Contestant, data: Path, output: Path) -> IngestRun:
    ran = commands.run(["-m", "benchmarks.runs.ingest", contestant, "--data", str(data), "--output", str(output)])
    return IngestRun(**ran.parsed)


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "processor": _processor(),
        "load": os.getloadavg()[1],  # five-minute load average
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("tfx", "tensorflow", "apache-beam")},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _numbers(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.isdecimal() and int(number) for number in numbers):
        raise argparse.ArgumentTypeError(f"found '{text}'; expected numbers above 0, such as 1,10,100")
    return sorted(set(map(int, numbers)))


def _rounds(text: str) -> int:
    return _number(text, minimum=1)


def _starts(text: str) -> int:
    return _number(text, minimum=0)


def _number(text: str, minimum: int) -> int:
    if not text.isdecimal() or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"found '{text}'; expected a number of at least {minimum}")
    return int(text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n")


def _report(size: Size, number: int, name: str, run: Run | IngestRun) -> None:
    Console(stderr=True).print(f"{size.name}, round {number}: {name}, {run.seconds:.1f} s")


if __name__ == "__main__":
    main()
