"""The page and the console output of an ablation."""

import dataclasses
import io
from pathlib import Path

import pytest
from report_run import TinyStore, summary
from whole_run import HOSTILE, words

from artifacts.nodes.ablation import AblationReport, Estimate, Worth, read_ablation
from artifacts.summary import read_summary
from pipeline.results.console import RunConsole
from reports.page import write_page

RUN = "20260102T030405.000Z"
NOTHING = Estimate(0.0, -0.004, 0.004)
WORTHS = (
    Worth("refund", "column", ("refund",), Estimate(0.2, 0.18, 0.22), Estimate(0.4, 0.3, 0.5), 0.7, "leak", "why"),
    Worth(HOSTILE, "column", (HOSTILE,), NOTHING, None, 0.9, "redundant", f"'{HOSTILE}' has it", "fare", 0.97),
    Worth("lottery", "column", ("lottery",), NOTHING, NOTHING, 0.9, "noise", "nothing"),
    Worth("money", "declared", ("fare", HOSTILE), Estimate(12.5, 11.0, 14.0), None, 0.8, "useful", "needed"),
)
REPORT = AblationReport(
    metric="auc",
    higher_is_better=True,
    value=0.9,
    trivial=0.5,
    gain=Estimate(0.4, 0.38, 0.42),
    margin=0.008,
    margin_fraction=0.02,
    repeats=3,
    trainings=42,
    rows={"train": 700, "validation": 100},
    available_rows={"train": 1400, "validation": 100},
    hyperparameters={"units": 8},
    worths=WORTHS,
)


@pytest.fixture(name="page")
def _page(tmp_path: Path) -> str:
    tiny = TinyStore(tmp_path / "output")
    tiny.begin(RUN)
    made = tiny.execute(RUN, "Ablation", outputs={"report": "AblationReport"})
    (tiny.folder(made["report"]) / "report.json").write_text(REPORT.to_json())
    tiny.end(summary(RUN, {"Transform": "cached", "Ablation": "ran"}, ablation=REPORT))
    return write_page(tiny.reader, tmp_path / "output", RUN).read_text(encoding="utf-8")


def test_page_shows_worths_verdicts_and_charts(page: str) -> None:
    said = words(page)
    assert "Too good to be true: refund" in said
    assert "Noise: lottery" in said
    assert "refund +0.2000 +0.1800 to +0.2200 +0.4000 too good to be true why" in said
    assert "money fare, " in said
    assert "+12.50" not in said  # of the console
    assert "+12.5 +11 to +14" in said
    assert "fare (0.97)" in said
    assert "train rows 700 of 1,400" in said
    assert page.count('class="chart"') == 3  # columns, those that do not leak, groups
    assert HOSTILE not in page
    assert "cannot be read" not in page
    assert 'id="training"' not in page


def test_report_and_summary_are_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(REPORT.to_json())
    found = read_ablation(tmp_path)
    assert dataclasses.asdict(found)["worths"][0]["worth"] == dataclasses.asdict(WORTHS[0].worth)
    assert [each.verdict for each in found.worths] == ["leak", "redundant", "noise", "useful"]
    (tmp_path / "summary.json").write_text(summary(RUN, {}, ablation=REPORT).to_json())
    read = read_summary(tmp_path / "summary.json")
    assert read.ablation
    assert read.ablation.to_json() == REPORT.to_json()


def test_a_metric_that_is_not_a_number_is_read_as_such(tmp_path: Path) -> None:
    undefined = dataclasses.replace(WORTHS[0], worth=Estimate(float("nan"), 0.0, 1.0))
    (tmp_path / "report.json").write_text(dataclasses.replace(REPORT, worths=[undefined]).to_json())
    assert str(read_ablation(tmp_path).worths[0].worth.value) == "nan"


@pytest.mark.parametrize("content", ["[]", "{}", '{"worths": [3]}', '{"worths": [], "gain": null}'])
def test_a_damaged_report_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ValueError, match=r"report\.json: found"):
        read_ablation(tmp_path)


def test_console_prints_a_line_per_column_and_the_next_step(tmp_path: Path) -> None:
    file = io.StringIO()
    RunConsole(file).end(summary(RUN, {}, ablation=REPORT), [], tmp_path / "log", "my settings.yaml")
    text = file.getvalue()
    assert "Worth in auc on 100 validation rows, with 95% intervals over 3 seeds" in text
    assert "left out: refund; worth: +0.2000 (+0.1800 to +0.2200); alone: 0.4000; too good to be true; why: why" in text
    assert "left out: money (declared group); worth: +12.50 (+11.00 to +14.00)" in text
    assert "leave what is too good to be true out of the features in 'my settings.yaml'" in text
