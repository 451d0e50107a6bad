"""Whole runs beside those of TFX's taxi template on the same rows, node by node; ingest alone; and start-up.

The rows are the bundled sample, repeated with jitter. On two cores the default sizes take about 30 minutes, --copies
1,10 about 20 and --copies 1 about 10; a machine that does something else meanwhile makes the numbers worth little.
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
from benchmarks.runs.measurements import Contestant, Ingested, Measured, Run, Size
from benchmarks.runs.report import markdown, promises, show
from benchmarks.runs.startup import starts
from benchmarks.targets import report_targets

COPIES, ROUNDS, STARTS = (1, 10, 100), 3, 5
LARGE = 100  # copies: such a table has one round, and TFX's ExampleGen is not run alone on it, which takes minutes
OUT = Path("output/benchmarks/runs.json")


def main() -> None:
    """Prints the tables and whether the promises are kept; exits with 1 if one is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs", description=__doc__)
    parser.add_argument(
        "--copies",
        type=_numbers,
        default=COPIES,
        metavar="N,N",
        help="tables: the sample's 15,002 rows so often each [1,10,100]",
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=ROUNDS,
        metavar="N",
        help=f"of each table, for medians; of {LARGE} copies one [{ROUNDS}]",
    )
    parser.add_argument(
        "--starts", type=_starts, default=STARTS, metavar="N", help=f"rounds of start-up [{STARTS}]; 0 leaves it out"
    )
    parser.add_argument("--json", type=Path, default=OUT, metavar="FILE", help="for all measurements [%(default)s]")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="for the tables, as in docs/performance.md")
    arguments = parser.parse_args()
    machine = _machine()
    measured = Measured(machine, starts(arguments.starts) if arguments.starts else None, [])
    for copies in arguments.copies:
        rounds = arguments.rounds if copies < LARGE else 1
        measured = dataclasses.replace(measured, sizes=[*measured.sizes, _measure(copies, rounds)])
        _write(arguments.json, json.dumps(dataclasses.asdict(measured), indent=2))
    if arguments.markdown:
        _write(arguments.markdown, markdown(measured))
    show(measured)
    report_targets(promises(measured))


def _measure(copies: int, rounds: int) -> Size:
    """All rounds on one table; in each the contestants take their turns."""
    with tempfile.TemporaryDirectory(prefix="runs") as folder:
        data, output = Path(folder) / "data", Path(folder) / "output"
        size = Size(copies, taxi_table.write(data / "taxi.csv", copies))
        for number in range(1, rounds + 1):
            _say(size, number, "template", template := _template(data, output / "template"))
            _say(size, number, "onegraph", onegraph := _onegraph(data, output / "onegraph"))
            _say(size, number, "rerun", rerun := _onegraph(data, output / "onegraph"))
            size.template.append(template)
            size.onegraph.append(onegraph)
            size.rerun.append(rerun)
            contestants: list[Contestant] = (
                ["onegraph", "loop"] if copies >= LARGE else ["template", "onegraph", "loop"]
            )
            for name in contestants:
                ingested = _ingest(name, data, output / "ingest" / name)
                size.ingest.setdefault(name, []).append(ingested)
                _say(size, number, f"ingest, {name}", ingested)
            shutil.rmtree(output)
    return size


def _template(data: Path, output: Path) -> Run:
    options = ["--data", str(data), "--output", str(output)]
    ran = commands.run(["-m", "benchmarks.runs.template", "run", *options])
    quality = commands.run(["-m", "benchmarks.runs.template", "quality", *options]).answer
    return Run(ran.seconds, ran.cpu, ran.peak, ran.answer, quality)


def _onegraph(data: Path, output: Path) -> Run:
    options = ["--data", str(data), "--output", str(output)]
    ran = commands.run(["local_runner.py", "--no-tune", "--json", *options])
    nodes = {node["id"]: node["seconds"] for node in ran.answer["nodes"]}
    quality = {name: ran.answer["metrics"][name] for name in ("auc", "accuracy")}
    return Run(ran.seconds, ran.cpu, ran.peak, nodes, quality)


def _ingest(contestant: Contestant, data: Path, output: Path) -> Ingested:
    ran = commands.run(["-m", "benchmarks.runs.ingest", contestant, "--data", str(data), "--output", str(output)])
    return Ingested(**ran.answer)


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "processor": _processor(),
        "load": os.getloadavg()[1],  # of what else runs here, over the five minutes before
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
    return _number(text, least=1)


def _starts(text: str) -> int:
    return _number(text, least=0)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"found '{text}'; expected a number of at least {least}")
    return int(text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n")


def _say(size: Size, number: int, what: str, found: Run | Ingested) -> None:
    Console(stderr=True).print(f"{size.name}, round {number}: {what}, {found.seconds:.1f} s")


if __name__ == "__main__":
    main()
