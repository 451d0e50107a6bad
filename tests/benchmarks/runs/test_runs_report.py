import dataclasses
import json
from typing import Any

import pytest

from benchmarks.runs.measurements import Contestant, IngestRun, Measurements, Run, Size, StartTimes
from benchmarks.runs.report import markdown, targets

MACHINE: dict[str, Any] = {"cores": 2, "memory": 2**33, "processor": "a fast one", "load": 0.25}
MACHINE |= dict.fromkeys(("tfx", "tensorflow", "apache-beam", "python"), "1.2.3")


def run(seconds: float, **nodes: float) -> Run:
    return Run(seconds, 2 * seconds, 10**9, nodes, {"auc": 0.9, "accuracy": 0.8, "majority": 0.7})


def ingested(seconds: float, peak: int = 1000) -> list[IngestRun]:
    return [IngestRun(seconds, peak, 500)]


def size(copies: int, factor: float = 1.0, peak: int = 1000) -> Size:
    """One round more than two, of which the middle one is the median."""
    ingest: dict[Contestant, list[IngestRun]] = {"onegraph": ingested(3, peak), "loop": ingested(2)}
    if copies < 100:
        ingest["template"] = ingested(36)
    template = [run(100 * factor, CsvExampleGen=60, Trainer=30), run(4000, CsvExampleGen=70, Trainer=40), run(1)]
    onegraph = [run(25, ExampleGen=4, Trainer=2, SkewGuard=14), run(1), run(4000, ExampleGen=40, SkewGuard=162)]
    return Size(copies, copies * 15_002, template, onegraph, [run(5, ExampleGen=0.5, SkewGuard=0.5)], ingest)


def measured(*sizes: Size, help_seconds: float = 0.5) -> Measurements:
    return Measurements(MACHINE, StartTimes([help_seconds, 9.0, 0.1], [10.0], [6.5]), sizes)


def values(found: Measurements) -> dict[str, tuple[float, bool]]:
    return {each.name: (round(each.value, 3), each.is_met) for each in targets(found)}


def test_ratios_are_of_medians() -> None:
    assert values(measured(size(10))) == {
        "150,020 rows: TFX's CsvExampleGen / ingest": (12.0, True),
        "150,020 rows: ingest / a plain loop": (1.5, True),
        "150,020 rows: run of the template / of this pipeline": (4.0, True),
        "150,020 rows: nodes of an unchanged rerun / of the first run": (0.05, True),
        "local_runner.py --help, seconds": (0.5, True),
        "start of the first node / from tfx import v1": (0.65, False),
    }


def test_nothing_is_promised_of_a_small_table() -> None:
    assert all("rows" not in what for what in values(measured(size(1))))


def test_memory_and_the_whole_rerun_are_promised_of_a_large_table() -> None:
    found = values(measured(size(10), size(100, factor=0.5, peak=1600)))
    assert found["peak memory of ingest, 1,500,200 rows / 150,020 rows"] == (1.6, False)
    assert found["1,500,200 rows: run of the template / of this pipeline"] == (2.0, False)
    assert found["1,500,200 rows: an unchanged rerun / the first run"] == (0.2, False)
    assert not any("CsvExampleGen" in what for what in found if what.startswith("1,500,200"))


def test_tables_have_a_row_a_node_and_a_pair_of_columns_a_size() -> None:
    page = markdown(measured(size(1), size(100)))
    lines = page.splitlines()
    assert "medians of the rounds (3 of 15,002 rows, 3 of 1,500,200 rows); load average before: 0.2." in page
    assert (
        "|  | 15,002 rows: template | 15,002 rows: onegraph | 1,500,200 rows: template | 1,500,200 rows: onegraph |"
        in page
    )
    assert "| ExampleGen | 65.00 | 22.00 | 65.00 | 22.00 |" in lines
    assert "| SkewGuard | – | 88.00 | – | 88.00 |" in lines  # noqa: RUF001
    assert "| … template / onegraph | – | 4.00 | – | 4.00 |" in lines  # noqa: RUF001
    # The middle round of each, without the SkewGuard.
    shared = lines.index("| sum of the nodes that both have | 90.0 | 6.0 | 90.0 | 6.0 |")
    assert lines[shared + 1] == "| … template / onegraph | – | 15.00 | – | 15.00 |"  # noqa: RUF001
    assert "| TFX's CsvExampleGen: seconds | 36.00 | – |" in lines  # noqa: RUF001
    assert "Tuner" not in page


@pytest.mark.parametrize("seconds", [1.0, 1.01])
def test_page_says_what_is_missed(seconds: float) -> None:
    found = dataclasses.replace(measured(), starts=StartTimes([seconds], [10.0], [6.0]))
    answer = "met" if seconds <= 1 else "missed"
    assert f"| local_runner.py --help, seconds | {seconds:.3g} | ≤ 1 | {answer} |" in markdown(found)


def test_start_up_can_be_left_out() -> None:
    found = dataclasses.replace(measured(size(1)), starts=None)
    assert "Startup" not in markdown(found)
    assert targets(found) == []


def test_measurements_are_json() -> None:
    assert json.loads(json.dumps(dataclasses.asdict(measured(size(10)))))["sizes"][0]["rows"] == 150_020
