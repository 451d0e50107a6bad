import datetime
import html
import json
import re

import pytest
from sklearn.metrics import roc_auc_score
from whole_run import HOSTILE, RUN, RunPages, whole_run, words

from reports.index import Index, Row


@pytest.fixture(name="pages")
def _pages() -> RunPages:
    return whole_run()


def section(pages: RunPages, name: str) -> str:
    """Returns the HTML of a section."""
    found = re.search(rf'<h2 id="{name}">.*?(?=<h2 id=|</main>)', pages.html, re.DOTALL)
    assert found
    return found.group()


def test_all_sections_could_be_read(pages: RunPages) -> None:
    assert "cannot be read" not in pages.html
    assert 'class="missing"' not in pages.html.replace('<p class="missing">no values</p>', "")


def test_header_has_status_and_metrics(pages: RunPages) -> None:
    head = words(pages.html[: pages.html.index("<main>")] + "<script>")
    assert f"tiny run {RUN} pushed Version 7 is in" in head
    assert "auc 0.7500" in head
    assert "accuracy not defined " in head
    assert "thresholds met 2 of 3" in head


def test_graph_of_the_pipeline_has_every_node_and_edge(pages: RunPages) -> None:
    picture = section(pages, "pipeline")
    nodes = [each["id"] for each in json.loads((pages.page.parent / "summary.json").read_text())["nodes"]]
    assert re.findall(r'class="name"[^>]*>([^<]+)', picture) == nodes
    assert picture.count('<path class="edge"') == len(nodes) - 1
    assert "✓ ran · 1.5 s" in picture


def test_rows_and_missing_values_are_those_of_the_table(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "data") + "<script>")
    assert "train 8 66.7% eval 4 33.3%" in said
    fare = said[said.index("fare FLOAT") :]
    assert "missing 12.5% 0.0%" in fare[: fare.index("shift")]
    assert "min 1 2" in fare
    assert "max 8 8" in fare
    assert "no values" in said[said.index("nothing FLOAT") :]


def test_classes_of_the_label_are_shown_by_split(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "data") + "<script>")
    assert "Fraction of each class of tip split mean " in said
    assert re.search(r"train 75\.0% 25\.0% .*eval 75\.0% 25\.0%", said)


def test_shifts_within_chance_are_not_marked(pages: RunPages) -> None:
    """With eight and four rows, even an hour that is always 3 can be chance."""
    said = words("<body>" + section(pages, "data") + "<script>")
    assert "No column differs from train by more than chance." in said
    assert re.findall(r"shift of eval ([\d.]+)", said) == ["0.41882", "0.25", "0.07782"]


def test_columns_that_differ_most_come_first(pages: RunPages) -> None:
    names = re.findall(r"<h4><bdi>(\w+)</bdi>", section(pages, "data"))
    assert names == ["hour", "city", "fare", "nothing"]


def test_strings_are_shown_with_their_fractions(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "data") + "<script>")
    assert "Genf 85.7%" in said  # of the 7 that are there


def test_anomalies_are_those_that_the_gate_would_stop_on(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "anomalies") + "<script>")
    assert re.search(r"city train ERROR .*Examples contain values missing from the schema", said)
    assert re.search(r"fare train ERROR .*The feature was present in fewer examples than expected", said)
    assert "fare eval" not in said


def test_training_says_which_step_the_weights_are_from(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "training") + "<script>")
    assert "weights from step 20" in said
    assert "best: step 20" in said
    assert "units 999" in said
    assert "dropout 0.125" in said


def test_the_best_trials_are_listed(pages: RunPages) -> None:
    trials = section(pages, "trials")
    assert "The best 25 of 1,001 trials" in trials
    rows = re.findall(r"<tr><th scope=\"row\"><bdi>(\w+)</bdi></th><td class=\"number\">([^<]+)", trials)
    assert [name for name, _ in rows] == [str(place) for place in range(999, 974, -1)]
    assert rows[0][1] == "0.0010"


def test_bounds_are_those_of_the_summary(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "decision") + "<script>")
    assert "auc overall ≥ 0.5000 0.7500 ✓ met" in said
    assert "auc overall better than trivial by ≥ 0.1000 0.2500 (trivial model: 0.5000) ✓ met" in said
    assert "accuracy city=Atlantis ≥ 0.5000 no rows ✗ missed" in said


def test_metrics_are_those_of_the_rows(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "metrics") + "<script>")
    rows = pages.rows
    correct = (rows.prediction > 0.5) == (rows.label > 0)
    assert re.search(rf"overall 400 0\.\d{{4}} .*? {correct.mean():.4f} ", said)
    area = roc_auc_score(rows.label, rows.prediction)
    shown = re.search("overall 400 (0[.][0-9]{4}) (0[.][0-9]{4}) \N{EN DASH} (0[.][0-9]{4})", said)
    assert shown
    assert float(shown[1]) == pytest.approx(area, abs=0.002)
    assert float(shown[2]) < area < float(shown[3])
    [chur] = re.findall(r"city=Chur (\d+ \D+) \d", said[said.index("On the eval split") :])
    assert chur == f"{(rows.city == 'Chur').sum()} not defined"  # its area: one class alone


def test_plots_are_drawn_with_their_axes(pages: RunPages) -> None:
    plots = section(pages, "plots")
    assert plots.count('class="chart"') == 2
    for text in ("mean prediction", "false positive rate", "true positive rate", "by chance", "perfect"):
        assert text in plots


def test_skew_and_device_say_what_was_compared(pages: RunPages) -> None:
    assert "on 77 rows" in section(pages, "skew")
    said = words("<body>" + section(pages, "device") + "<script>")
    assert "size 4.32 kB" in said
    assert "median latency per row 0.25 ms" in said
    assert "quantization int8" in said


def test_settings_and_code_are_those_that_were_recorded(pages: RunPages) -> None:
    said = words("<body>" + section(pages, "settings") + "<script>")
    assert "commit c0ffee , with uncommitted changes" in said
    assert "local_runner.py --no-tune" in said
    assert "evaluation: metrics: - auc - accuracy" in said


def test_lineage_has_every_artifact_and_execution(pages: RunPages) -> None:
    lineage = section(pages, "lineage")
    keys = set(re.findall(r'data-key="([ae]\d+)"', lineage))
    assert {int(key[1:]) for key in keys if key[0] == "a"} == {each.id for each in pages.tiny.store.get_artifacts()}
    assert {int(key[1:]) for key in keys if key[0] == "e"} == {each.id for each in pages.tiny.store.get_executions()}
    events = pages.tiny.store.get_events_by_execution_ids([int(key[1:]) for key in keys if key[0] == "e"])
    assert len(re.findall(r'<path class="edge', lineage)) == len(events)
    detail = lineage[lineage.index('<section class="detail" id="lineage-a1"') :]
    assert str(pages.tiny.folder(1)) in detail[: detail.index("</section>")]


def test_what_comes_from_data_is_escaped(pages: RunPages) -> None:
    assert HOSTILE not in pages.html
    assert html.escape(HOSTILE, quote=False).split("&amp;")[0] in pages.html
    assert pages.html.count("<script>") == 1
    assert "\u202e" in pages.html  # a name that turns the reading direction stands alone, in <bdi>
    assert "<bdi>\u202e東京" in pages.html


def test_page_is_small_and_asks_for_nothing(pages: RunPages) -> None:
    assert pages.page.stat().st_size < 400_000
    links = re.findall(r'(?:src|href)="([^"]*)"', pages.html)
    assert {link for link in links if not link.startswith(("#", "data:,"))} == {"../index.html"}
    assert "default-src 'none'" in pages.html


def test_ids_on_the_page_are_unique(pages: RunPages) -> None:
    ids = re.findall(r'\sid="([^"]+)"', pages.html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', pages.html)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", pages.html)) <= set(ids)


def test_colours_follow_the_page(pages: RunPages) -> None:
    charts = re.findall(r'<svg[^>]*class="chart".*?</svg>', pages.html, re.DOTALL)
    assert charts
    assert not [colour for chart in charts for colour in re.findall(r"#[0-9a-f]{6}\b", chart)]


def test_index_lists_the_run_and_what_is_live(pages: RunPages) -> None:
    page = pages.index.read_text(encoding="utf-8")
    said = words(page)
    assert "live: tiny 7" in said
    assert f'<a href="{RUN}/report.html">' in page
    assert f"{RUN} 2026-01-02 03:04:05 pushed 7 live 0.7500 not defined" in said
    assert (pages.index.parent / RUN / "report.html").is_file()


def test_a_version_is_live_for_its_own_model_alone() -> None:
    started = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    mine, other, unknown = (Row("run", None, "pushed", started, 1.0, model, "7", {}) for model in ("a", "b", None))
    index = Index((mine, other, unknown), (), {"a": "7", "b": "8"})
    assert [index.is_live(row) for row in index.rows] == [True, False, True]
