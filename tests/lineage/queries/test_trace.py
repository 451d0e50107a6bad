import dataclasses
import os
from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from tiny_runs import FAILED, FIRST, MORE_STEPS, NEW_DATA, SCHEMA, now, story

from lineage import contents
from lineage.graph.nodes import nodes_of
from lineage.queries.impact import Impact, impact
from lineage.queries.lookup import find
from lineage.queries.runs import find_run
from lineage.queries.trace import trace
from lineage.queries.trace_records import Story
from lineage.records import Artifact
from models.job import HYPERPARAMETERS_FILE


@pytest.fixture(scope="module")
def store() -> MetadataStore:
    return story().store


def output(store: MetadataStore, run: str, node: str, key: str) -> Artifact:
    nodes = nodes_of(store, find_run(store, run))
    [artifact] = nodes.line.linked(nodes.nodes[node].execution.id, "output", key)
    return artifact


@pytest.fixture(scope="module")
def told(store: MetadataStore) -> Story:
    """Of the version that training with more steps gave."""
    return trace(store, output(store, MORE_STEPS, "Pusher", "pushed_model"))


def test_the_version_and_its_place_are_told(told: Story) -> None:
    assert told.type == "PushedModel"
    assert told.pushed_to == f"{story().output}/serving/taxi/{told.version}"
    assert told.artifact.run_id == MORE_STEPS


def test_the_data_are_told_with_span_fingerprint_and_files(store: MetadataStore) -> None:
    [earlier, later] = trace(store, output(store, NEW_DATA, "Pusher", "pushed_model")).data
    assert (earlier.run_id, later.run_id) == (FIRST, NEW_DATA)
    assert later.source == f"{story().table}/*.csv"
    assert later.files == [f"{story().table}/table.csv"]
    assert later.span == 0
    assert later.version is None
    assert later.fingerprint == (
        "split:single_split,num_files:1,total_bytes:9,xor_checksum:2000,sum_checksum:2000"  # as TFX computes it
    )
    assert (earlier.as_they_were, later.as_they_were) == (False, True)


def test_files_that_changed_since_are_not_as_they_were(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv")]
    for file, seconds in zip(files, (3000, 5), strict=True):
        file.write_text("12345")
        os.utime(file, (seconds, seconds))
    names = list(map(str, files))
    fingerprint = f"split:s,num_files:2,total_bytes:10,xor_checksum:{3000 ^ 5},sum_checksum:3005"
    assert contents.are_as_they_were(names, fingerprint) is True
    os.utime(files[0], (3001, 3001))
    assert contents.are_as_they_were(names, fingerprint) is False
    assert contents.are_as_they_were(names[:1], fingerprint) is False
    assert contents.are_as_they_were(names, "the digest of a query") is None


def test_what_was_held_against_the_schema_is_told_though_it_hands_nothing_on(told: Story) -> None:
    assert told.rows == {"train": 70, "eval": 30}
    assert [each.run_id for each in told.statistics] == [FIRST]
    assert [each.run_id for each in told.schema] == [FIRST]
    assert "StatisticsGen:3" in told.nodes


def test_graph_model_settings_and_code_are_told(told: Story) -> None:
    assert [each.run_id for each in told.transform_graph] == [FIRST]
    assert [each.run_id for each in told.model] == [MORE_STEPS]
    assert told.hyperparameters == {"steps": 120}
    assert contents.HYPERPARAMETERS_FILE == HYPERPARAMETERS_FILE
    assert told.code == {"Transform": "c" * 64, "Trainer": "c" * 64}
    assert [run.run_id for run in told.runs] == [FIRST, MORE_STEPS]


def test_the_judges_and_what_they_compared_with_are_told(told: Story, store: MetadataStore) -> None:
    assert [(each.judge, each.blessed, each.run_id) for each in told.judgements] == [
        ("SkewGuard", True, MORE_STEPS),
        ("Evaluator", True, MORE_STEPS),
    ]
    assert told.metrics == {"auc": 0.12}
    first = output(store, FIRST, "Pusher", "pushed_model").properties["pushed_version"]
    assert [(each.run_id, each.version) for each in told.baseline] == [(FIRST, first)]
    assert told.warm_start == []


def test_what_training_began_with_is_told(store: MetadataStore) -> None:
    told = trace(store, output(store, NEW_DATA, "Pusher", "pushed_model"))
    assert [each.run_id for each in told.model] == [MORE_STEPS, NEW_DATA]
    assert [each.run_id for each in told.warm_start] == [MORE_STEPS]
    assert told.warm_start[0].version


def test_metrics_are_those_of_a_run_that_gave_the_evaluation_out_again(store: MetadataStore) -> None:
    told = trace(store, output(store, FIRST, "Pusher", "pushed_model"))
    assert told.runs[0].metrics == {}  # by an earlier version of this project, which recorded none
    assert told.metrics == {"auc": 0.02}


def test_a_model_is_told_with_its_judges_and_without_what_came_of_it(store: MetadataStore, told: Story) -> None:
    model = trace(store, output(store, MORE_STEPS, "Trainer", "model"))
    assert model.judgements == told.judgements
    assert model.metrics == told.metrics
    assert model.version is None
    assert not any(name.startswith("Pusher") for name in model.nodes)


def test_an_artifact_at_the_start_has_a_short_story(store: MetadataStore) -> None:
    schema = trace(store, output(store, FIRST, "CuratedSchema", "schema"))
    empty = {field.name for field in dataclasses.fields(Story) if not getattr(schema, field.name)}
    assert schema.nodes == ["CuratedSchema:1"]
    assert {"data", "statistics", "model", "judgements", "metrics", "baseline"} <= empty


def test_what_lay_in_folders_that_are_gone_is_left_out() -> None:
    gone = Artifact(1, "Any", "/no/such/folder", now(), {"split_names": '["train"]'})
    remote = dataclasses.replace(gone, uri="gs://bucket/folder")
    for artifact in (gone, remote):
        assert contents.rows(artifact) == {}
        assert contents.hyperparameters(artifact) == {}
        assert contents.trials(artifact) == []


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'"text"', b'{"a":'])
def test_files_that_are_not_whole_are_left_out(content: bytes, tmp_path: Path) -> None:
    artifact = Artifact(1, "Any", str(tmp_path), now(), {"split_names": '["train"]'})
    (tmp_path / "Split-train").mkdir()
    for name in ("Split-train/FeatureStats.pb", HYPERPARAMETERS_FILE, contents.TRIALS_FILE):
        (tmp_path / name).write_bytes(content)
    assert contents.rows(artifact) == {}
    assert contents.hyperparameters(artifact) == {}
    assert contents.trials(artifact) == []


def of(store: MetadataStore, name: str) -> Impact:
    artifact = find(store, story().output, name).artifact
    assert artifact
    return impact(store, artifact)


def test_what_came_of_the_data_is_told(store: MetadataStore) -> None:
    found = impact(store, output(store, NEW_DATA, "ExampleGen", "examples"))
    version = output(store, NEW_DATA, "Pusher", "pushed_model").properties["pushed_version"]
    assert [(each.version, each.run_id) for each in found.versions] == [(version, NEW_DATA)]
    assert [each.run_id for each in found.models] == [NEW_DATA]
    assert found.others["TransformGraph"] == 1
    assert "PushedModel" not in found.others
    assert [name.partition(":")[0] for name in found.failed] == ["Trainer"]
    assert found.runs == [NEW_DATA, FAILED]


def test_all_versions_came_of_the_schema(store: MetadataStore) -> None:
    found = of(store, f"CuratedSchema.schema:{output(store, FIRST, 'CuratedSchema', 'schema').id}")
    assert [each.run_id for each in found.versions] == [FIRST, MORE_STEPS, NEW_DATA]
    assert SCHEMA in story().store.get_executions_by_id([1])[0].custom_properties["text"].string_value


def test_a_baseline_is_told_and_is_no_ingredient(store: MetadataStore) -> None:
    found = impact(store, output(store, FIRST, "Trainer", "model"))
    assert [each.run_id for each in found.versions] == [FIRST]
    assert found.models == []
    assert [each.run_id for each in found.baseline_of] == [MORE_STEPS]


def test_what_training_went_on_from_is_in_the_later_model(store: MetadataStore) -> None:
    found = impact(store, output(store, MORE_STEPS, "Trainer", "model"))
    assert [each.run_id for each in found.models] == [NEW_DATA]
    assert [each.run_id for each in found.versions] == [MORE_STEPS, NEW_DATA]
