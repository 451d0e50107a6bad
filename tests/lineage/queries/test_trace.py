import dataclasses

import pytest
from tiny_runs import FIRST, MORE_STEPS, NEW_DATA, shared_runs

from lineage.graph.run_nodes import read_run_nodes
from lineage.queries.find_run import find_run
from lineage.queries.results import Trace
from lineage.queries.trace import trace
from lineage.records import Artifact
from lineage.store.reader import MetadataReader


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


def output(reader: MetadataReader, run: str, node: str, key: str) -> Artifact:
    nodes, graph = read_run_nodes(reader, find_run(reader, run))
    [artifact] = graph.artifacts_of(nodes[node].execution.id, "output", key)
    return artifact


@pytest.fixture(scope="module")
def traced(reader: MetadataReader) -> Trace:
    """The trace of the version that the run with more steps pushed."""
    return trace(reader, output(reader, MORE_STEPS, "Pusher", "pushed_model"))


def test_a_trace_has_the_version_and_its_folder(traced: Trace) -> None:
    assert traced.type == "PushedModel"
    assert traced.pushed_to == f"{shared_runs().output}/serving/taxi/{traced.version}"
    assert traced.artifact.run_id == MORE_STEPS


def test_a_trace_has_the_data_with_span_fingerprint_and_files(reader: MetadataReader) -> None:
    [earlier, later] = trace(reader, output(reader, NEW_DATA, "Pusher", "pushed_model")).data
    assert (earlier.run_id, later.run_id) == (FIRST, NEW_DATA)
    assert later.source == f"{shared_runs().table}/*.csv"
    assert later.files == [f"{shared_runs().table}/table.csv"]
    assert later.span == 0
    assert later.version is None
    assert later.fingerprint == (
        "split:single_split,num_files:1,total_bytes:9,xor_checksum:2000,sum_checksum:2000"  # as TFX computes it
    )
    assert (earlier.as_they_were, later.as_they_were) == (False, True)


def test_a_trace_has_the_checks_of_the_data(traced: Trace) -> None:
    assert traced.rows == {"train": 70, "eval": 30}
    assert [each.run_id for each in traced.statistics] == [FIRST]
    assert [each.run_id for each in traced.schema] == [FIRST]
    assert "StatisticsGen:3" in traced.nodes


def test_a_trace_has_transform_graph_model_hyperparameters_and_code(traced: Trace) -> None:
    assert [each.run_id for each in traced.transform_graph] == [FIRST]
    assert [each.run_id for each in traced.model] == [MORE_STEPS]
    assert traced.hyperparameters == {"steps": 120}
    assert traced.code == {"Transform": "c" * 64, "Trainer": "c" * 64}
    assert [run.run_id for run in traced.runs] == [FIRST, MORE_STEPS]


def test_a_trace_has_the_blessings_and_the_baseline(traced: Trace, reader: MetadataReader) -> None:
    assert [(each.judge, each.blessed, each.run_id) for each in traced.judgements] == [
        ("SkewGuard", True, MORE_STEPS),
        ("Evaluator", True, MORE_STEPS),
    ]
    assert traced.metrics == {"auc": 0.12}
    first = output(reader, FIRST, "Pusher", "pushed_model").properties["pushed_version"]
    assert [(each.run_id, each.version) for each in traced.baseline] == [(FIRST, first)]
    assert traced.warm_start == []


def test_a_trace_has_the_model_of_a_warm_start(reader: MetadataReader) -> None:
    traced = trace(reader, output(reader, NEW_DATA, "Pusher", "pushed_model"))
    assert [each.run_id for each in traced.model] == [MORE_STEPS, NEW_DATA]
    assert [each.run_id for each in traced.warm_start] == [MORE_STEPS]
    assert traced.warm_start[0].version


def test_metrics_may_come_from_a_run_that_reused_the_evaluation(reader: MetadataReader) -> None:
    traced = trace(reader, output(reader, FIRST, "Pusher", "pushed_model"))
    assert traced.runs[0].metrics == {}  # by an earlier version of this project, which recorded none
    assert traced.metrics == {"auc": 0.02}


def test_the_trace_of_a_model_has_its_blessings_and_not_its_push(reader: MetadataReader, traced: Trace) -> None:
    model = trace(reader, output(reader, MORE_STEPS, "Trainer", "model"))
    assert model.judgements == traced.judgements
    assert model.metrics == traced.metrics
    assert model.version is None
    assert not any(name.startswith("Pusher") for name in model.nodes)


def test_the_trace_of_a_schema_is_short(reader: MetadataReader) -> None:
    schema = trace(reader, output(reader, FIRST, "CuratedSchema", "schema"))
    empty = {field.name for field in dataclasses.fields(Trace) if not getattr(schema, field.name)}
    assert schema.nodes == ["CuratedSchema:1"]
    assert {"data", "statistics", "model", "judgements", "metrics", "baseline"} <= empty
