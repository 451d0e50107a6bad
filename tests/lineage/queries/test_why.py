import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_folder import memory_folder
from tiny_runs import FAILED, FIRST, FROM_GUARD, MORE_STEPS, NEW_DATA, SAME, SCHEMA, TinyRuns, shared_runs

from lineage.errors import LineageError
from lineage.queries.diff import diff
from lineage.queries.find_run import find_run
from lineage.queries.results import Change, Reason, RunDiff
from lineage.queries.why import why
from lineage.store.reader import MetadataReader


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


@pytest.fixture
def runs() -> Iterator[TinyRuns]:
    """A pipeline of its own, without runs."""
    with tempfile.TemporaryDirectory(prefix="tiny_runs", dir=memory_folder()) as folder:
        made = TinyRuns(Path(folder) / "output", Path(folder) / "table")
        made.write_table("fare\n", 1)
        yield made


def reason(reader: MetadataReader, node: str, run: str) -> Reason:
    return why(reader, find_run(reader, run), node)


def compared(reader: MetadataReader, before: str, after: str) -> RunDiff:
    return diff(reader, find_run(reader, before), find_run(reader, after))


def values(changes: list[Change]) -> list[tuple[str, object, object]]:
    return [(each.what, each.before, each.after) for each in changes]


def test_a_first_execution_is_compared_with_nothing(reader: MetadataReader) -> None:
    found = reason(reader, "Trainer", FIRST)
    assert (found.state, found.compared_with, found.changes) == ("ran", None, ())
    assert found.because == "no earlier execution finished"


def test_a_cached_node_names_the_run_that_made_its_outputs(reader: MetadataReader) -> None:
    found = reason(reader, "Trainer", SAME)
    assert (found.state, found.same_as) == ("cached", FIRST)
    assert found.because == f"inputs, settings and code are unchanged; the outputs are those of run {FIRST}"
    assert reason(reader, "Transform", MORE_STEPS).same_as == FIRST  # not the run before, which was cached too


def test_a_node_that_was_reused_says_so(reader: MetadataReader) -> None:
    found = reason(reader, "Trainer", FROM_GUARD)
    assert found.same_as == NEW_DATA
    assert found.because.startswith("reused by --from")


def test_a_changed_setting_is_named_with_both_values(reader: MetadataReader) -> None:
    found = reason(reader, "Trainer", MORE_STEPS)
    assert found.compared_with == SAME
    assert found.changes == [Change("settings", "training.steps", 20, 120, ("Trainer",))]
    assert found.because == "settings changed"
    assert found.back_to == []


def test_changed_inputs_go_back_to_the_node_that_changed(reader: MetadataReader) -> None:
    found = reason(reader, "Pusher", MORE_STEPS)
    assert {each.kind for each in found.changes} == {"input"}
    assert [each.node for each in found.back_to] == ["Trainer"]
    assert values(list(found.back_to[0].changes)) == [("training.steps", 20, 120)]


def test_changed_data_has_another_fingerprint(reader: MetadataReader) -> None:
    found = reason(reader, "Transform", NEW_DATA)
    assert [(each.what, each.nodes) for each in found.changes] == [("examples", ("Transform",))]
    [origin] = found.back_to
    [change] = origin.changes
    assert (origin.node, change.kind, change.what) == ("ExampleGen", "data", "input_fingerprint")
    assert "total_bytes:7" in change.before
    assert "total_bytes:9" in change.after


def test_another_baseline_goes_back_to_the_resolver(reader: MetadataReader) -> None:
    found = reason(reader, "Evaluator", NEW_DATA)
    before, after = (reason(reader, "LatestBlessedModel", run).because for run in (MORE_STEPS, NEW_DATA))
    assert before != after
    assert "this one found Trainer.model:" in after
    assert "baseline_model" in {each.what for each in found.changes}
    # The Trainer has no setting of its own for the warm start here, so only its inputs changed.
    assert {each.node for each in found.back_to} == {"ExampleGen", "WarmStartModel", "LatestBlessedModel"}


def test_a_failed_node_is_compared_with_the_last_finished_execution(reader: MetadataReader) -> None:
    found = reason(reader, "Trainer", FAILED)
    assert (found.state, found.compared_with) == ("failed", NEW_DATA)
    assert ("training.steps", 120, -1) in values(list(found.changes))
    assert ("base_model", None) in [(each.what, each.after) for each in found.changes]


def test_a_node_that_is_not_in_the_run_is_refused_with_its_nodes(reader: MetadataReader) -> None:
    with pytest.raises(LineageError, match=r"'Pusher': not in run run-4 .*; its nodes are .*Trainer"):
        reason(reader, "Pusher", FAILED)


def test_a_run_without_the_cache_says_so(runs: TinyRuns) -> None:
    for cache in (True, False, True):
        runs.run(cache=cache)
    forced = reason(runs.reader, "Trainer", "run-1")
    assert forced.because.startswith("inputs changed")
    assert reason(runs.reader, "ExampleGen", "run-1").because == "--no-cache was given, and nothing else changed"
    # Cached again, with the outputs of the forced run.
    assert reason(runs.reader, "Trainer", "run-2").same_as == "run-1"
    # Nodes that were forced to run again are where the changes downstream started.
    assert {each.node for each in forced.back_to} == {"ExampleGen", "CuratedSchema"}


def test_a_run_does_not_differ_from_itself(reader: MetadataReader) -> None:
    found = compared(reader, SAME, SAME)
    assert (found.changes, [each.same_outputs for each in found.nodes if each.node == "Trainer"]) == ([], [True])


def test_a_changed_setting_is_listed_once_by_its_key(reader: MetadataReader) -> None:
    found = compared(reader, SAME, MORE_STEPS)
    assert found.changes == [Change("settings", "training.steps", 20, 120)]
    assert [(each.metric, each.before, each.after) for each in found.metrics] == [("auc", 0.02, 0.12)]
    states = {each.node: (each.before, each.after, each.same_outputs) for each in found.nodes}
    assert states["Transform"] == ("cached", "cached", True)
    assert states["Trainer"] == ("cached", "ran", False)
    assert states["LatestBlessedModel"] == ("ran", "ran", None)


def test_a_run_without_properties_is_compared_by_its_nodes_settings(reader: MetadataReader) -> None:
    found = compared(reader, FIRST, MORE_STEPS)
    assert found.changes == [Change("settings", "training.steps", 20, 120, ("Trainer",))]


def test_changed_data_is_listed(reader: MetadataReader) -> None:
    found = compared(reader, MORE_STEPS, NEW_DATA)
    assert [each.what for each in found.of_kind("data")] == ["input_fingerprint"]
    assert values(found.of_kind("settings")) == [("training.warm_start", False, True)]
    assert ("WarmStartModel", None, "ran") in [(each.node, each.before, each.after) for each in found.nodes]


def test_changed_features_schema_code_and_rows_are_listed(runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.run(recorded=False)
    monkeypatch.setattr("tiny_runs.LABEL", {"label": {"name": "tip"}, "task": "regression"})
    monkeypatch.setattr("tiny_runs.CODE", "d" * 64)
    monkeypatch.setattr("tiny_runs.ROWS", {"train": 80, "eval": 30})
    runs.write_table("fare\n", 2)
    runs.run(recorded=False, schema=SCHEMA.replace("1.0", "0.5"))
    found = compared(runs.reader, "run-0", "run-1")
    assert ("problem.task", "binary", "regression") in values(found.of_kind("features"))
    assert [(each.before, each.nodes) for each in found.of_kind("code")] == [("c" * 64, ("Transform", "Trainer"))]
    assert ("feature.fare.presence.min_fraction", 1.0, 0.5) in values(found.of_kind("schema"))
    assert ("rows of train", 70, 80) in values(found.of_kind("data"))
