from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from tiny_runs import FAILED, FIRST, FROM_GUARD, MORE_STEPS, NEW_DATA, SAME, SCHEMA, TinyRuns, story

from lineage.errors import LineageError
from lineage.queries.changes import Change
from lineage.queries.difference import Difference, difference
from lineage.queries.runs import find_run
from lineage.queries.why import Reason, why


@pytest.fixture(scope="module")
def store() -> MetadataStore:
    return story().store


def reason(store: MetadataStore, node: str, run: str) -> Reason:
    return why(store, find_run(store, run), node)


def compared(store: MetadataStore, before: str, after: str) -> Difference:
    return difference(store, find_run(store, before), find_run(store, after))


def told(changes: list[Change]) -> list[tuple[str, object, object]]:
    return [(each.what, each.before, each.after) for each in changes]


def test_a_first_execution_has_no_other_reason(store: MetadataStore) -> None:
    found = reason(store, "Trainer", FIRST)
    assert (found.state, found.compared_with, found.changes) == ("ran", None, ())
    assert found.because == "no earlier execution of it finished"


def test_a_cached_node_names_the_run_that_it_repeats(store: MetadataStore) -> None:
    found = reason(store, "Trainer", SAME)
    assert (found.state, found.same_as) == ("cached", FIRST)
    assert found.because == f"inputs, settings and code are the same: its outputs are those of run {FIRST}"
    assert reason(store, "Transform", MORE_STEPS).same_as == FIRST  # not the one before, which repeated it too


def test_a_node_that_was_taken_over_says_so(store: MetadataStore) -> None:
    found = reason(store, "Trainer", FROM_GUARD)
    assert found.same_as == NEW_DATA
    assert found.because.startswith("taken over by --from")


def test_a_changed_setting_is_named_with_both_values(store: MetadataStore) -> None:
    found = reason(store, "Trainer", MORE_STEPS)
    assert found.compared_with == SAME
    assert found.changes == [Change("settings", "training.steps", 20, 120, ("Trainer",))]
    assert found.because == "settings changed"
    assert found.back_to == []


def test_changed_inputs_go_back_to_the_node_that_began_it(store: MetadataStore) -> None:
    found = reason(store, "Pusher", MORE_STEPS)
    assert {each.kind for each in found.changes} == {"input"}
    assert [each.node for each in found.back_to] == ["Trainer"]
    assert told(list(found.back_to[0].changes)) == [("training.steps", 20, 120)]


def test_changed_data_are_named_by_their_fingerprint(store: MetadataStore) -> None:
    found = reason(store, "Transform", NEW_DATA)
    assert [(each.what, each.nodes) for each in found.changes] == [("examples", ("Transform",))]
    [origin] = found.back_to
    [change] = origin.changes
    assert (origin.node, change.kind, change.what) == ("ExampleGen", "data", "input_fingerprint")
    assert "total_bytes:7" in change.before
    assert "total_bytes:9" in change.after


def test_another_baseline_goes_back_to_the_resolver_that_found_it(store: MetadataStore) -> None:
    found = reason(store, "Evaluator", NEW_DATA)
    before, after = (reason(store, "LatestBlessedModel", run).because for run in (MORE_STEPS, NEW_DATA))
    assert before != after
    assert "it found Trainer.model:" in after
    assert "baseline_model" in {each.what for each in found.changes}
    # The Trainer's own settings say nothing of a warm start here: it only followed.
    assert {each.node for each in found.back_to} == {"ExampleGen", "WarmStartModel", "LatestBlessedModel"}


def test_a_failed_node_is_held_against_the_last_that_finished(store: MetadataStore) -> None:
    found = reason(store, "Trainer", FAILED)
    assert (found.state, found.compared_with) == ("failed", NEW_DATA)
    assert ("training.steps", 120, -1) in told(list(found.changes))
    assert ("base_model", None) in [(each.what, each.after) for each in found.changes]


def test_a_node_that_is_not_in_the_run_is_refused_with_those_that_are(store: MetadataStore) -> None:
    with pytest.raises(LineageError, match=r"'Pusher': not in run run-4 .*; its nodes are .*Trainer"):
        reason(store, "Pusher", FAILED)


def test_a_run_without_the_cache_says_so(tmp_path: Path) -> None:
    runs = TinyRuns(tmp_path / "output", tmp_path / "table")
    runs.write_table("fare\n", 1)
    for cache in (True, False, True):
        runs.run(cache=cache)
    forced = reason(runs.store, "Trainer", "run-1")
    assert forced.because.startswith("inputs changed")
    assert reason(runs.store, "ExampleGen", "run-1").because == "--no-cache was given; nothing else changed"
    # Cached again, of the run that was forced.
    assert reason(runs.store, "Trainer", "run-2").same_as == "run-1"
    # What was made again without a change is where the change of what is behind it began.
    assert {each.node for each in forced.back_to} == {"ExampleGen", "CuratedSchema"}


def test_the_same_run_twice_differs_in_nothing(store: MetadataStore) -> None:
    found = compared(store, SAME, SAME)
    assert (found.changes, [each.same_outputs for each in found.nodes if each.node == "Trainer"]) == ([], [True])


def test_a_changed_setting_is_told_once_in_the_users_words(store: MetadataStore) -> None:
    found = compared(store, SAME, MORE_STEPS)
    assert found.changes == [Change("settings", "training.steps", 20, 120)]
    assert [(each.metric, each.before, each.after) for each in found.metrics] == [("auc", 0.02, 0.12)]
    states = {each.node: (each.before, each.after, each.same_outputs) for each in found.nodes}
    assert states["Transform"] == ("cached", "cached", True)
    assert states["Trainer"] == ("cached", "ran", False)
    assert states["LatestBlessedModel"] == ("ran", "ran", None)


def test_a_run_without_properties_is_compared_by_its_nodes_settings(store: MetadataStore) -> None:
    found = compared(store, FIRST, MORE_STEPS)
    assert found.changes == [Change("settings", "training.steps", 20, 120, ("Trainer",))]


def test_changed_data_are_told(store: MetadataStore) -> None:
    found = compared(store, MORE_STEPS, NEW_DATA)
    assert [each.what for each in found.of("data")] == ["input_fingerprint"]
    assert told(found.of("settings")) == [("training.warm_start", False, True)]
    assert ("WarmStartModel", None, "ran") in [(each.node, each.before, each.after) for each in found.nodes]


def test_features_schema_code_and_rows_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = TinyRuns(tmp_path / "output", tmp_path / "table")
    runs.write_table("fare\n", 1)
    runs.run(recorded=False)
    monkeypatch.setattr("tiny_runs.LABEL", {"label": {"name": "tip"}, "task": "regression"})
    monkeypatch.setattr("tiny_runs.CODE", "d" * 64)
    monkeypatch.setattr("tiny_runs.ROWS", {"train": 80, "eval": 30})
    runs.write_table("fare\n", 2)
    runs.run(recorded=False, schema=SCHEMA.replace("1.0", "0.5"))
    found = compared(runs.store, "run-0", "run-1")
    assert ("problem.task", "binary", "regression") in told(found.of("features"))
    assert [(each.before, each.nodes) for each in found.of("code")] == [("c" * 64, ("Transform", "Trainer"))]
    assert ("feature.fare.presence.min_fraction", 1.0, 0.5) in told(found.of("schema"))
    assert ("rows of train", 70, 80) in told(found.of("data"))
