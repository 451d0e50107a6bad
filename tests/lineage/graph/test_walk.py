from collections.abc import Collection

import pytest
from ml_metadata.metadata_store import MetadataStore
from tiny_runs import FAILED, FIRST, FROM_GUARD, MORE_STEPS, NEW_DATA, OTHER, SAME, story

from lineage.graph import walk as graph
from lineage.graph.nodes import nodes_of
from lineage.queries.runs import find_run
from lineage.records import Execution, Lineage


@pytest.fixture(scope="module")
def store() -> MetadataStore:
    return story().store


def output(store: MetadataStore, run: str, node: str, key: str) -> int:
    nodes = nodes_of(store, find_run(store, run))
    [artifact] = nodes.line.linked(nodes.nodes[node].execution.id, "output", key)
    return artifact.id


def where(executions: Collection[Execution]) -> set[tuple[str, str]]:
    return {(each.node, each.run_id) for each in executions}


def at(line: Lineage) -> set[tuple[str, str]]:
    return where(line.executions.values())


def test_upstream_ends_at_the_data_and_passes_the_judges(store: MetadataStore) -> None:
    line = graph.upstream(store, [output(store, MORE_STEPS, "Pusher", "pushed_model")])
    made_in_first = {("CuratedSchema", FIRST), ("ExampleGen", FIRST), ("Transform", FIRST)}
    judged = {(node, MORE_STEPS) for node in ("Trainer", "SkewGuard", "Evaluator", "Pusher")}
    assert at(line) == made_in_first | judged  # the runs between gave out again what the first had made
    assert {each.type for each in line.artifacts.values()} >= {"ModelEvaluation", "ModelRun"}  # beside what led on


def test_the_baseline_is_named_and_is_no_ancestor(store: MetadataStore) -> None:
    earlier = output(store, FIRST, "Trainer", "model")
    line = graph.upstream(store, [output(store, MORE_STEPS, "Pusher", "pushed_model")])
    assert [link.artifact_id for link in line.links if link.direction == "reference"] == [earlier]
    assert line.producer(earlier) is None


def test_a_model_that_training_began_with_is_an_ancestor(store: MetadataStore) -> None:
    line = graph.upstream(store, [output(store, NEW_DATA, "Pusher", "pushed_model")])
    assert {("Trainer", NEW_DATA), ("Trainer", MORE_STEPS)} <= at(line)
    assert ("Trainer", FIRST) not in at(line)
    assert ("Evaluator", MORE_STEPS) not in at(line)  # nothing of that blessing is in the weights


def test_downstream_has_failures_and_no_repeats(store: MetadataStore) -> None:
    line = graph.downstream(store, [output(store, NEW_DATA, "ExampleGen", "examples")])
    assert {each.state for each in line.executions.values()} == {"ran", "failed"}
    assert {each.run_id for each in line.executions.values()} == {NEW_DATA, FAILED}
    assert line.name(min(line.artifacts)) == f"ExampleGen.examples:{min(line.artifacts)}"


def test_downstream_of_a_baseline_is_not_what_was_compared_with_it(store: MetadataStore) -> None:
    line = graph.downstream(store, [output(store, FIRST, "Trainer", "model")])
    assert {each.run_id for each in line.executions.values()} == {FIRST}


def test_pipelines_in_one_store_do_not_mix(store: MetadataStore) -> None:
    line = graph.upstream(store, [output(store, OTHER, "Pusher", "pushed_model")])
    assert {each.pipeline for each in line.executions.values()} == {"other"}
    assert {each.run_id for each in line.executions.values()} == {OTHER}


def test_a_cached_or_taken_over_node_is_told_by_what_made_it(store: MetadataStore) -> None:
    cached = nodes_of(store, find_run(store, SAME)).nodes["Trainer"]
    assert (cached.execution.state, cached.made_by.run_id, cached.taken_over) == ("cached", FIRST, False)
    taken = nodes_of(store, find_run(store, FROM_GUARD)).nodes["Trainer"]
    assert (taken.execution.state, taken.made_by.run_id, taken.taken_over) == ("cached", NEW_DATA, True)


def test_the_maker_is_found_where_folders_have_no_numbers(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = output(store, MORE_STEPS, "Pusher", "pushed_model")
    expected = graph.upstream(store, [pushed])
    monkeypatch.setattr(graph, "_numbers", lambda _uri: [])
    assert graph.upstream(store, [pushed]) == expected


def test_a_folder_with_the_number_of_another_execution_misleads_nobody(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = output(store, MORE_STEPS, "Pusher", "pushed_model")
    expected = graph.upstream(store, [pushed])
    monkeypatch.setattr(graph, "_numbers", lambda _uri: [1, 13, 10**9])
    assert graph.upstream(store, [pushed]) == expected


def test_the_walk_asks_once_a_level_and_not_once_an_artifact(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = output(store, NEW_DATA, "Pusher", "pushed_model")
    events, asked = MetadataStore.get_events_by_execution_ids, []

    def watched(self: MetadataStore, ids: list[int]) -> object:
        asked.append(len(ids))
        return events(self, ids)

    monkeypatch.setattr(MetadataStore, "get_events_by_execution_ids", watched)
    monkeypatch.setattr(MetadataStore, "get_events_by_artifact_ids", None)  # all events of what each run gives out
    line = graph.upstream(store, [pushed])
    assert len(line.executions) == 10
    assert len(asked) <= 14  # two for each of seven levels
