import pytest
from tiny_runs import FAILED, FIRST, FROM_GUARD, MORE_STEPS, NEW_DATA, SAME, new_runs, shared_runs

from lineage.errors import LineageError
from lineage.queries.find_run import find_run
from lineage.queries.results import Change, Reason
from lineage.queries.why import why
from lineage.store.reader import MetadataReader


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


def reason(reader: MetadataReader, node: str, run: str) -> Reason:
    return why(reader, find_run(reader, run), node)


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


def test_a_run_without_the_cache_says_so() -> None:
    with new_runs() as runs:
        for cache in (True, False, True):
            runs.run(cache=cache)
        forced = reason(runs.reader, "Trainer", "run-1")
        assert forced.because.startswith("inputs changed")
        assert reason(runs.reader, "ExampleGen", "run-1").because == "--no-cache was given, and nothing else changed"
        # Cached again, with the outputs of the forced run.
        assert reason(runs.reader, "Trainer", "run-2").same_as == "run-1"
        # Nodes that were forced to run again are where the changes downstream started.
        assert {each.node for each in forced.back_to} == {"ExampleGen", "CuratedSchema"}
