"""Checks of edited or invalid files, and of unusual folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compiled import BLESSING, SCHEMA, Compiled, container
from test_vertex_check import Recorder, checked, pushing, states, toy

from pipeline.config.errors import ConfigError
from pipeline.results.run_folder import locked
from pipeline.vertex.check import check
from pipeline.vertex.spec import SpecError, read_spec
from pipeline.vertex.tasks import TaskEnvironment, TaskFailedError, run_task

Edit = Callable[[Any, Any, Any], object]  # of the tasks, the executors and the components


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t, e, c: t.pop("Judge"), "lacks 'Judge'"),
        (
            lambda t, e, c: e.update(Judge_executor={"customJob": {}}),
            "^Judge: found the executor customJob; expected one of",
        ),
        (lambda t, e, c: e.update(Judge_executor={}), "^Judge: found the executor {}; expected one of contain"),
        (lambda t, e, c: e["Judge_executor"]["container"].pop("command"), "lacks 'command'"),
        (
            lambda t, e, c: e["Judge_executor"]["container"].update(command=[]),
            "^Judge: found a container with no comma",
        ),
        (lambda t, e, c: e.update(Judge_executor={"resolver": {}}), "lacks 'outputArtifactQueries'"),
        (lambda t, e, c: e.update(Judge_executor={"importer": {}}), "lacks 'artifactUri'"),
        (lambda t, e, c: t["Judge"].update(inputs=None), "has an invalid part"),
        (lambda t, e, c: c["Judge"].update(outputDefinitions={"artifacts": {"x": {}}}), "lacks 'artifactType'"),
        (
            lambda t, e, c: t["Pusher"]["triggerPolicy"].update(condition="inputs.x >= 1.0"),
            "^Pusher: found the condition 'inputs.x >= 1.0', with GtE; expected what TFX writes",
        ),
        (
            lambda t, e, c: t["Pusher"]["triggerPolicy"].update(condition="1 +"),
            "^Pusher: found the condition '1 .', wh",
        ),
    ],
)
def test_invalid_task_is_refused_before_any_task_runs(edit: Edit, message: str) -> None:
    job = toy().job
    spec = job["pipelineSpec"]
    edit(spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"], spec["components"])
    with pytest.raises(SpecError, match=message):
        read_spec(json.dumps(job))


def test_file_without_a_pusher_fails(tmp_path: Path) -> None:
    compiled = toy()
    del compiled.tasks["Pusher"]
    result = checked(compiled, tmp_path)
    assert states(result) == {"Trainer": "ran", "Judge": "ran"}
    assert result.status == "failed"
    assert result.error == "found no task Pusher; expected one that pushes a blessed model"


@pytest.mark.parametrize(
    "line",
    [
        "file.parent.mkdir(parents=True); file.write_text('[1]')",
        "file.parent.mkdir(parents=True); file.write_bytes(b'\\xff')",
        "outputs['other'] = outputs['blessing']; write_output()",
    ],
)
def test_invalid_executor_output_fails_in_one_line(line: str, tmp_path: Path) -> None:
    compiled = pushing(toy())
    compiled.add("Judge", container(line), {"model": ("Trainer", "model")}, {"blessing": BLESSING})
    result = checked(compiled, tmp_path)
    assert states(result) == {"Trainer": "ran", "Judge": "failed", "Pusher": "skipped"}
    assert result.error is not None
    assert result.error.startswith("Judge: ")
    assert "executor_output.json: expected an ExecutorOutput of the task's artifacts" in result.error


@pytest.mark.parametrize(("program", "argument"), [("nonesuch", "{{$}}"), ("python", "x" * 200_000)])
def test_program_that_cannot_start_only_fails_its_task(program: str, argument: str, tmp_path: Path) -> None:
    executor = container("write_output()")
    executor["container"]["command"][0] = program
    executor["container"]["args"] = [argument]
    compiled = Compiled()
    compiled.add("One", executor)
    compiled.add("Other", container("write_output()"))
    result = checked(compiled, tmp_path)
    assert states(result) == {"One": "failed", "Other": "ran"}
    assert result.error is not None
    assert result.error.startswith("One: ")
    assert "Errno" in result.error


def test_output_path_may_have_spaces_and_umlauts(tmp_path: Path) -> None:
    folder = tmp_path / "Prüfung mit 'ß'"
    folder.mkdir()
    result = checked(pushing(toy()), folder)
    assert result.status == "pushed"
    assert result.pushed is not None
    assert result.pushed.startswith(f"{folder}/out/buckets/")


@pytest.mark.parametrize(
    ("output", "data", "message"),
    [
        ("a[1]", None, r"^--output: found \[\] in .*a\[1\]; expected none of"),
        ("gs://bucket/x", None, "^--output: found gs:/bucket/x; expected a folder on this machine"),
        ('a"b', None, "^--output: found .*; expected a path without quotes and backslashes"),
        ("out", "a*", r"^--data: found \* in .*a\*; expected none of"),
        ("out", "file", "found no folder .*file; put the table there, or pass its folder with --data"),
    ],
)
def test_folder_that_tasks_would_misread_is_refused(
    output: str, data: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    compiled = Compiled()
    compiled.add("ExampleGen", container("write_output()"), parameters={"input_base": "data/taxi"})
    with pytest.raises(SpecError, match=message):
        check(compiled.write(tmp_path / "toy.json"), Path(output), Recorder(), Path(data) if data else None)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_second_check_with_the_same_output_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(ConfigError, match="another run is using it; wait for it to finish"):
        checked(toy(), tmp_path)
    assert list((tmp_path / "out/logs").iterdir()) == []


def test_bucket_named_bigquery_is_not_treated_as_a_query(tmp_path: Path) -> None:
    compiled = Compiled()
    executor = container("write_output()")
    executor["container"]["args"] += ["--temp_location=gs://bigquery-exports/x"]
    compiled.add("ExampleGen", executor)
    assert states(checked(compiled, tmp_path)) == {"ExampleGen": "ran"}
    executor["container"]["args"] += ["custom_components.bigquery_example_gen.executor.Executor"]
    with pytest.raises(SpecError, match="ExampleGen: reads BigQuery, which a check cannot do"):
        checked(compiled, tmp_path)


def test_task_that_starts_after_the_kill_is_killed(tmp_path: Path) -> None:
    compiled = Compiled()
    compiled.add("Late", container("import time; time.sleep(60); write_output()"), outputs={"model": SCHEMA})
    [task] = read_spec(json.dumps(compiled.job)).tasks
    environment = TaskEnvironment("toy", tmp_path, tmp_path, {})
    environment.kill()
    with pytest.raises(
        TaskFailedError, match=r"^was killed \(SIGKILL; check whether the machine runs out of memory\); full log: "
    ):
        run_task(task, {}, environment)
