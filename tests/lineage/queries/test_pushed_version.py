from pathlib import Path

from report_run import TinyStore
from tiny_runs import FIRST, MORE_STEPS, shared_runs

from lineage.queries.pushed_version import last_pushed_version


def push(tiny: TinyStore, model: int, version: str) -> None:
    made = tiny.execute("run", "Pusher", {"model": model}, {"pushed_model": "PushedModel"})
    [artifact] = tiny.store.get_artifacts_by_id([made["pushed_model"]])
    artifact.custom_properties["pushed"].int_value = int(bool(version))
    artifact.custom_properties["pushed_version"].string_value = version
    tiny.store.put_artifacts([artifact])


def test_a_model_has_the_version_that_it_was_last_pushed_as(tmp_path: Path) -> None:
    tiny = TinyStore(tmp_path)
    tiny.begin("run")
    model = tiny.execute("run", "Trainer", outputs={"model": "Model"})["model"]
    assert last_pushed_version(tiny.reader, model) is None
    push(tiny, model, "7")
    push(tiny, model, "8")
    push(tiny, model, "")  # not blessed
    assert last_pushed_version(tiny.reader, model) == "8"


def test_a_later_model_compared_with_a_baseline_is_not_its_version() -> None:
    reader = shared_runs().reader
    versions = {}
    for run in (FIRST, MORE_STEPS):
        nodes = reader.finished_executions(run)
        model, pushed = reader.output(nodes["Trainer"], "model"), reader.output(nodes["Pusher"], "pushed_model")
        assert model is not None
        assert pushed is not None
        versions[run] = last_pushed_version(reader, model.id)
        assert versions[run] == pushed.properties["pushed_version"]
    assert versions[FIRST] != versions[MORE_STEPS]
