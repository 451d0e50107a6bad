import pytest
from tiny_runs import FAILED, FIRST, MORE_STEPS, NEW_DATA, SCHEMA, shared_runs

from lineage.graph.run_nodes import read_run_nodes
from lineage.queries.find_artifact import find_artifact
from lineage.queries.find_run import find_run
from lineage.queries.impact import impact
from lineage.queries.results import Impact
from lineage.records import Artifact
from lineage.store.reader import MetadataReader


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


def output(reader: MetadataReader, run: str, node: str, key: str) -> Artifact:
    nodes, graph = read_run_nodes(reader, find_run(reader, run))
    [artifact] = graph.artifacts_of(nodes[node].execution.id, "output", key)
    return artifact


def of(reader: MetadataReader, name: str) -> Impact:
    return impact(reader, find_artifact(reader, shared_runs().output, name))


def test_impact_of_data(reader: MetadataReader) -> None:
    found = impact(reader, output(reader, NEW_DATA, "ExampleGen", "examples"))
    version = output(reader, NEW_DATA, "Pusher", "pushed_model").properties["pushed_version"]
    assert [(each.version, each.run_id) for each in found.versions] == [(version, NEW_DATA)]
    assert [each.run_id for each in found.models] == [NEW_DATA]
    assert found.others["TransformGraph"] == 1
    assert "PushedModel" not in found.others
    assert [name.partition(":")[0] for name in found.failed] == ["Trainer"]
    assert found.runs == [NEW_DATA, FAILED]


def test_impact_of_a_schema_is_all_versions(reader: MetadataReader) -> None:
    found = of(reader, f"CuratedSchema.schema:{output(reader, FIRST, 'CuratedSchema', 'schema').id}")
    assert [each.run_id for each in found.versions] == [FIRST, MORE_STEPS, NEW_DATA]
    assert SCHEMA in shared_runs().store.get_executions_by_id([1])[0].custom_properties["text"].string_value


def test_impact_of_a_baseline_lists_the_compared_models_separately(reader: MetadataReader) -> None:
    found = impact(reader, output(reader, FIRST, "Trainer", "model"))
    assert [each.run_id for each in found.versions] == [FIRST]
    assert found.models == []
    assert [each.run_id for each in found.baseline_of] == [MORE_STEPS]


def test_impact_of_a_warm_start_model_has_the_later_model(reader: MetadataReader) -> None:
    found = impact(reader, output(reader, MORE_STEPS, "Trainer", "model"))
    assert [each.run_id for each in found.models] == [NEW_DATA]
    assert [each.run_id for each in found.versions] == [MORE_STEPS, NEW_DATA]
