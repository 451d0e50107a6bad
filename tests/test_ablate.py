"""``ablate`` from a table to its page."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Finished, run_in_fork

from artifacts.nodes.ablation import VERDICTS
from artifacts.summary import read_summary

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROWS = 6000
CACHED = ("ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "AnomalyGate", "Transform")


@pytest.fixture(scope="module", name="project")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that ``init`` drafted for a table with a leak, a duplicate and a noise column."""
    folder = tmp_path_factory.mktemp("project")
    random = np.random.default_rng(11)
    income, noise = random.normal(size=(2, ROWS))
    city = random.integers(0, 4, ROWS)
    bought = random.random(ROWS) < 1 / (1 + np.exp(-1.5 * income - np.array([-1.5, -0.5, 0.5, 1.5])[city]))
    columns = {
        "income": 30_000 + 8_000 * income,
        "spent": 1000 + 80 * income + random.normal(size=ROWS),
        "refund": 10 * bought + 5 * random.normal(size=ROWS),
        "lottery": noise,
        "city": np.array(["Bern", "Chur", "Genf", "Thun"])[city],
        "bought": np.where(bought, "yes", "no"),
    }
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    made = command("init", f"--data={folder}/shop.csv", "--label=bought", f"--into={folder}")
    assert made.code == 0, made.stderr
    (folder / "groups.yaml").write_text("person: [income, city]\n")
    return folder


def command(*arguments: str) -> Finished:
    return run_in_fork([sys.executable, str(ROOT / "local_runner.py"), *arguments])


def ablate(project: Path, *options: str) -> Finished:
    settings = ["--config", f"{project}/configs/shop.yaml", "--output", f"{project}/output", "--no-tune"]
    return command("ablate", *settings, "--groups", f"{project}/groups.yaml", "--repeats", "3", *options)


def test_ablation_is_a_run_with_a_page_and_a_place_in_ml_metadata(project: Path) -> None:
    first = ablate(project, "--json")
    assert first.code == 0, first.stderr
    assert set(first.states.values()) == {"ran"}
    found = {each["name"]: each for each in first.summary["ablation"]["worths"]}
    assert {name: found[name]["verdict"] for name in ("refund", "lottery", "income", "spent")} == {
        "refund": "leak",
        "lottery": "noise",
        "income": "redundant",
        "spent": "redundant",
    }
    assert found["spent"]["partner"] == "income"
    assert set(found) == {"refund", "lottery", "income", "spent", "city", "person", "income + spent"}
    assert first.summary["status"] == "partial"

    again = ablate(project)
    assert again.code == 0, again.stderr
    assert VERDICTS["leak"] in again.stdout
    assert "Ablation" in again.stdout

    folder = project / "output/runs" / first.summary["run_id"]
    page = (folder / "report.html").read_text()
    assert "What each column is worth" in page
    assert page.count("Worth of columns, 95% intervals") >= 1
    ablation = read_summary(folder / "summary.json").ablation
    assert ablation
    assert ablation.having("leak")[0].name == "refund"
    shown = run_in_fork([sys.executable, "-m", "lineage", "show", "latest", "--output", f"{project}/output", "--json"])
    nodes = {each["node"]: each["state"] for each in json.loads(shown.stdout)["nodes"]}
    assert nodes["Ablation"] == "cached"


def test_only_the_trainings_are_repeated_with_other_options(project: Path) -> None:
    assert ablate(project).code == 0
    other = ablate(project, "--columns=lottery", "--json")
    assert other.states["Ablation"] == "ran"
    assert {other.states[node] for node in CACHED} == {"cached"}
    usual = command("--config", f"{project}/configs/shop.yaml", "--output", f"{project}/output", "--no-tune", "--json")
    assert {usual.states[node] for node in CACHED} == {"cached"}


def test_bad_groups_end_in_one_line(project: Path) -> None:
    (project / "bad.yaml").write_text("person: [income, town]\n")
    refused = ablate(project, "--groups", f"{project}/bad.yaml")
    assert refused.code == 2
    assert refused.stderr.count("\n") == 1
    assert "person: unknown column of the features 'town'" in refused.stderr
