import datetime
import html
import json
import re

import pytest
from sklearn.metrics import roc_auc_score
from whole_run import HOSTILE, RUN, Made, whole_run, words

from reports.index import Index, Row


@pytest.fixture(name="made")
def _made() -> Made:
    return whole_run()


def section(made: Made, name: str) -> str:
    """The marks of a section."""
    found = re.search(rf'<h2 id="{name}">.*?(?=<h2 id=|</main>)', made.html, re.DOTALL)
    assert found
    return found.group()


def test_all_sections_could_be_read(made: Made) -> None:
    assert "cannot be read" not in made.html
    assert 'class="missing"' not in made.html.replace('<p class="missing">no values</p>', "")


def test_head_says_how_the_run_ended(made: Made) -> None:
    head = words(made.html[: made.html.index("<main>")] + "<script>")
    assert f"tiny run {RUN} pushed Version 7 is in" in head
    assert "auc 0.7500" in head
    assert "accuracy \N{EN DASH} " in head
    assert "bounds kept 1 of 2" in head


def test_picture_of_the_pipeline_has_every_node_and_way(made: Made) -> None:
    picture = section(made, "pipeline")
    nodes = [each["id"] for each in json.loads((made.page.parent / "summary.json").read_text())["nodes"]]
    assert re.findall(r'class="name"[^>]*>([^<]+)', picture) == nodes
    assert picture.count('<path class="edge"') == len(nodes) - 1
    assert "✓ ran · 1.5 s" in picture


def test_rows_and_missing_values_are_those_of_the_table(made: Made) -> None:
    said = words("<body>" + section(made, "data") + "<script>")
    assert "train 8 66.7 % eval 4 33.3 %" in said
    fare = said[said.index("fare FLOAT") :]
    assert "missing 12.5 % 0.0 %" in fare[: fare.index("shift")]
    assert "least 1 2" in fare
    assert "most 8 8" in fare
    assert "no values" in said[said.index("nothing FLOAT") :]


def test_columns_that_differ_most_come_first(made: Made) -> None:
    names = re.findall(r"<h4><bdi>(\w+)</bdi>", section(made, "data"))
    assert names == ["hour", "city", "fare", "nothing"]


def test_texts_are_shown_with_their_shares(made: Made) -> None:
    said = words("<body>" + section(made, "data") + "<script>")
    assert "Genf 85.7 %" in said  # of the 7 that are there


def test_anomalies_are_those_that_the_gate_would_stop_on(made: Made) -> None:
    said = words("<body>" + section(made, "anomalies") + "<script>")
    assert re.search(r"city train ERROR .*Examples contain values missing from the schema", said)
    assert re.search(r"fare train ERROR .*The feature was present in fewer examples than expected", said)
    assert "fare eval" not in said


def test_training_says_which_weights_were_kept(made: Made) -> None:
    said = words("<body>" + section(made, "training") + "<script>")
    assert "weights kept of step 20" in said
    assert "kept: step 20" in said
    assert "units 999" in said
    assert "dropout 0.125" in said


def test_the_best_trials_are_listed(made: Made) -> None:
    trials = section(made, "trials")
    assert "The best 25 of 1,001 trials" in trials
    rows = re.findall(r"<tr><th scope=\"row\"><bdi>(\w+)</bdi></th><td class=\"number\">([^<]+)", trials)
    assert [name for name, _ in rows] == [str(place) for place in range(999, 974, -1)]
    assert rows[0][1] == "0.0010"


def test_bounds_are_those_of_the_summary(made: Made) -> None:
    said = words("<body>" + section(made, "decision") + "<script>")
    assert "auc overall ≥ 0.5000 0.7500 ✓ kept" in said
    assert "accuracy city=Atlantis ≥ 0.5000 no such rows ✗ missed" in said


def test_metrics_are_those_of_the_rows(made: Made) -> None:
    said = words("<body>" + section(made, "metrics") + "<script>")
    rows = made.rows
    correct = (rows.prediction > 0.5) == (rows.label > 0)
    assert re.search(rf"overall 400 0\.\d{{4}} .*? {correct.mean():.4f} ", said)
    area = roc_auc_score(rows.label, rows.prediction)
    shown = re.search("overall 400 (0[.][0-9]{4}) (0[.][0-9]{4}) \N{EN DASH} (0[.][0-9]{4})", said)
    assert shown
    assert float(shown[1]) == pytest.approx(area, abs=0.002)
    assert float(shown[2]) < area < float(shown[3])
    [chur] = re.findall(r"city=Chur (\d+ \D+) \d", said[said.index("On the eval split") :])
    assert chur == f"{(rows.city == 'Chur').sum()} not defined"  # its area: one class alone


def test_plots_are_drawn_with_their_axes(made: Made) -> None:
    plots = section(made, "plots")
    assert plots.count('class="chart"') == 2
    for text in ("mean prediction", "false positive rate", "true positive rate", "by chance", "as predicted"):
        assert text in plots


def test_judges_say_what_they_compared(made: Made) -> None:
    assert "on 77 rows" in section(made, "skew")
    said = words("<body>" + section(made, "device") + "<script>")
    assert "size 4.32 kB" in said
    assert "a row, median 0.25 ms" in said
    assert "quantization int8" in said


def test_settings_and_code_are_those_that_were_recorded(made: Made) -> None:
    said = words("<body>" + section(made, "settings") + "<script>")
    assert "commit c0ffee , with changes that are not committed" in said
    assert "local_runner.py --no-tune" in said
    assert "evaluation: metrics: - auc - accuracy" in said


def test_lineage_has_every_artifact_and_execution(made: Made) -> None:
    lineage = section(made, "lineage")
    keys = set(re.findall(r'data-key="([ae]\d+)"', lineage))
    assert {int(key[1:]) for key in keys if key[0] == "a"} == {each.id for each in made.tiny.store.get_artifacts()}
    assert {int(key[1:]) for key in keys if key[0] == "e"} == {each.id for each in made.tiny.store.get_executions()}
    events = made.tiny.store.get_events_by_execution_ids([int(key[1:]) for key in keys if key[0] == "e"])
    assert len(re.findall(r'<path class="edge', lineage)) == len(events)
    detail = lineage[lineage.index('<section class="detail" id="lineage-a1"') :]
    assert str(made.tiny.folder(1)) in detail[: detail.index("</section>")]


def test_what_comes_from_data_is_escaped(made: Made) -> None:
    assert HOSTILE not in made.html
    assert html.escape(HOSTILE, quote=False).split("&amp;")[0] in made.html
    assert made.html.count("<script>") == 1
    assert "\u202e" in made.html  # a name that turns the reading direction stands alone, in <bdi>
    assert "<bdi>\u202e東京" in made.html


def test_page_is_small_and_asks_for_nothing(made: Made) -> None:
    assert made.page.stat().st_size < 400_000
    links = re.findall(r'(?:src|href)="([^"]*)"', made.html)
    assert {link for link in links if not link.startswith(("#", "data:,"))} == {"../index.html"}
    assert "default-src 'none'" in made.html


def test_ids_on_the_page_are_unique(made: Made) -> None:
    ids = re.findall(r'\sid="([^"]+)"', made.html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', made.html)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", made.html)) <= set(ids)


def test_colours_follow_the_page(made: Made) -> None:
    charts = re.findall(r'<svg[^>]*class="chart".*?</svg>', made.html, re.DOTALL)
    assert charts
    assert not [colour for chart in charts for colour in re.findall(r"#[0-9a-f]{6}\b", chart)]


def test_index_lists_the_run_and_what_is_live(made: Made) -> None:
    page = made.index.read_text(encoding="utf-8")
    said = words(page)
    assert "live: tiny 7" in said
    assert f'<a href="{RUN}/report.html">' in page
    assert f"{RUN} 2026-01-02 03:04:05 pushed 7 live 0.7500 not defined" in said
    assert (made.index.parent / RUN / "report.html").is_file()


def test_a_version_is_live_for_its_own_model_alone() -> None:
    started = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    mine, other, unknown = (Row("run", None, "pushed", started, 1.0, model, "7", {}) for model in ("a", "b", None))
    index = Index((mine, other, unknown), (), {"a": "7", "b": "8"})
    assert [index.is_live(row) for row in index.rows] == [True, False, True]
