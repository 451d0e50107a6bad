import pytest
from ml_metadata.metadata_store import MetadataStore
from tiny_runs import FAILED, FIRST, FROM_GUARD, MORE_STEPS, NEW_DATA, OTHER, SAME, shared_runs

from lineage.graph import walker as walker_module
from lineage.graph.run_nodes import read_run_nodes
from lineage.graph.walker import GraphWalker
from lineage.queries.find_run import find_run
from lineage.records import LineageGraph
from lineage.store.reader import MetadataReader


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


def output(reader: MetadataReader, run: str, node: str, key: str) -> int:
    nodes, graph = read_run_nodes(reader, find_run(reader, run))
    [artifact] = graph.artifacts_of(nodes[node].execution.id, "output", key)
    return artifact.id


def nodes_and_runs(graph: LineageGraph) -> set[tuple[str, str]]:
    return {(each.node, each.run_id) for each in graph.executions.values()}


def test_upstream_goes_through_the_checks_to_the_data(reader: MetadataReader) -> None:
    graph = GraphWalker(reader).upstream([output(reader, MORE_STEPS, "Pusher", "pushed_model")])
    from_first_run = {("CuratedSchema", FIRST), ("ExampleGen", FIRST), ("Transform", FIRST)}
    from_this_run = {(node, MORE_STEPS) for node in ("Trainer", "SkewGuard", "Evaluator", "Pusher")}
    assert nodes_and_runs(graph) == from_first_run | from_this_run  # the run between reused the outputs of the first
    assert {each.type for each in graph.artifacts.values()} >= {
        "ModelEvaluation",
        "ModelRun",
    }  # outputs that lead nowhere


def test_the_baseline_is_in_the_graph_but_not_an_ancestor(reader: MetadataReader) -> None:
    earlier = output(reader, FIRST, "Trainer", "model")
    graph = GraphWalker(reader).upstream([output(reader, MORE_STEPS, "Pusher", "pushed_model")])
    assert [event.artifact_id for event in graph.events if event.direction == "reference"] == [earlier]
    assert graph.producer(earlier) is None


def test_a_warm_start_model_is_an_ancestor(reader: MetadataReader) -> None:
    graph = GraphWalker(reader).upstream([output(reader, NEW_DATA, "Pusher", "pushed_model")])
    assert {("Trainer", NEW_DATA), ("Trainer", MORE_STEPS)} <= nodes_and_runs(graph)
    assert ("Trainer", FIRST) not in nodes_and_runs(graph)
    assert ("Evaluator", MORE_STEPS) not in nodes_and_runs(graph)  # that blessing did not change the weights


def test_downstream_has_failed_but_no_cached_executions(reader: MetadataReader) -> None:
    graph = GraphWalker(reader).downstream([output(reader, NEW_DATA, "ExampleGen", "examples")])
    assert {each.state for each in graph.executions.values()} == {"ran", "failed"}
    assert {each.run_id for each in graph.executions.values()} == {NEW_DATA, FAILED}
    assert graph.name(min(graph.artifacts)) == f"ExampleGen.examples:{min(graph.artifacts)}"


def test_models_compared_with_a_baseline_are_not_downstream_of_it(reader: MetadataReader) -> None:
    graph = GraphWalker(reader).downstream([output(reader, FIRST, "Trainer", "model")])
    assert {each.run_id for each in graph.executions.values()} == {FIRST}


def test_pipelines_in_one_store_do_not_mix(reader: MetadataReader) -> None:
    graph = GraphWalker(reader).upstream([output(reader, OTHER, "Pusher", "pushed_model")])
    assert {each.pipeline for each in graph.executions.values()} == {"other"}
    assert {each.run_id for each in graph.executions.values()} == {OTHER}


def test_a_cached_or_reused_node_has_the_execution_that_made_its_outputs(reader: MetadataReader) -> None:
    cached = read_run_nodes(reader, find_run(reader, SAME)).nodes["Trainer"]
    assert (cached.execution.state, cached.producer.run_id, cached.is_reused) == ("cached", FIRST, False)
    taken = read_run_nodes(reader, find_run(reader, FROM_GUARD)).nodes["Trainer"]
    assert (taken.execution.state, taken.producer.run_id, taken.is_reused) == ("cached", NEW_DATA, True)


def test_the_producer_is_found_when_folders_have_no_numbers(
    reader: MetadataReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = output(reader, MORE_STEPS, "Pusher", "pushed_model")
    expected = GraphWalker(reader).upstream([pushed])
    monkeypatch.setattr(walker_module, "_execution_numbers", lambda _uri: [])
    assert GraphWalker(reader).upstream([pushed]) == expected


def test_the_producer_is_found_when_a_folder_has_the_number_of_another_execution(
    reader: MetadataReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = output(reader, MORE_STEPS, "Pusher", "pushed_model")
    expected = GraphWalker(reader).upstream([pushed])
    monkeypatch.setattr(walker_module, "_execution_numbers", lambda _uri: [1, 13, 10**9])
    assert GraphWalker(reader).upstream([pushed]) == expected


def test_the_walk_queries_once_per_level_not_once_per_artifact(
    reader: MetadataReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = output(reader, NEW_DATA, "Pusher", "pushed_model")
    events, queries = MetadataStore.get_events_by_execution_ids, []

    def watched(self: MetadataStore, ids: list[int]) -> object:
        queries.append(len(ids))
        return events(self, ids)

    monkeypatch.setattr(MetadataStore, "get_events_by_execution_ids", watched)
    monkeypatch.setattr(
        MetadataStore, "get_events_by_artifact_ids", None
    )  # an artifact that every run reuses has thousands of events
    graph = GraphWalker(reader).upstream([pushed])
    assert len(graph.executions) == 10
    assert len(queries) <= 14  # two per level, seven levels
