import pytest
from tiny_runs import FIRST, MORE_STEPS, NEW_DATA, SAME, SCHEMA, new_runs, shared_runs

from lineage.queries.diff import diff
from lineage.queries.find_run import find_run
from lineage.queries.results import Change, RunDiff
from lineage.store.reader import MetadataReader


@pytest.fixture(scope="module")
def reader() -> MetadataReader:
    return shared_runs().reader


def compared(reader: MetadataReader, before: str, after: str) -> RunDiff:
    return diff(reader, find_run(reader, before), find_run(reader, after))


def values(changes: list[Change]) -> list[tuple[str, object, object]]:
    return [(each.what, each.before, each.after) for each in changes]


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


def test_changed_features_schema_code_and_rows_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_runs() as runs:
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
