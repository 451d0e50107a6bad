import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compiled import BLESSING, SCHEMA, Compiled, container
from conftest import ROOT

from artifacts.summary import Node
from pipeline.vertex.check import CheckSummary, check
from pipeline.vertex.spec import SpecError, read_spec

PUSHES = container("write_output(pushed=1, pushed_destination=inputs['model'][0]['uri'])")
BLESSED = "inputs.artifacts['blessing'].artifacts[0].metadata['blessed'] == 1.0"


class Recorder:
    """A listener that records the started nodes."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def node_started(self, node_id: str) -> None:
        self.started.append(node_id)

    def node_progress(self, source: str, line: str) -> None:
        raise AssertionError(line)

    def node_finished(self, node: Node) -> None:
        pass


def checked(compiled: Compiled, folder: Path, data: Path | None = None) -> CheckSummary:
    return check(compiled.write(folder / "toy.json"), folder / "out", Recorder(), data)


def states(result: CheckSummary) -> dict[str, str]:
    return {node.id: node.state for node in result.nodes}


def toy(blessed: int = 1) -> Compiled:
    """A pipeline that trains, evaluates, and pushes a blessed model."""
    compiled = Compiled()
    compiled.add(
        "Pusher", PUSHES, {"model": ("Trainer", "model"), "blessing": ("Judge", "blessing")}, {}, condition=BLESSED
    )
    compiled.add(
        "Judge", container(f"write_output(blessed={blessed})"), {"model": ("Trainer", "model")}, {"blessing": BLESSING}
    )
    compiled.add("Trainer", container("write_output()"), outputs={"model": SCHEMA})
    compiled.tasks["Pusher"]["componentRef"]["name"] = "Pusher"
    return compiled


def pushing(compiled: Compiled) -> Compiled:
    """Adds an output to the Pusher."""
    job = compiled.job["pipelineSpec"]
    job["components"]["Pusher"]["outputDefinitions"] = {
        "artifacts": {"pushed_model": {"artifactType": {"instanceSchema": SCHEMA}}}
    }
    return compiled


def test_tasks_run_in_order_and_a_blessed_model_is_pushed(tmp_path: Path) -> None:
    result = checked(pushing(toy()), tmp_path)
    assert result.error is None
    assert [node.id for node in result.nodes] == ["Trainer", "Judge", "Pusher"]
    assert set(states(result).values()) == {"ran"}
    assert result.status == "pushed"
    assert result.pushed is not None
    assert result.pushed.startswith(str(tmp_path / "out/buckets/bucket/toy/artifacts/"))
    assert result.pushed.endswith("/Trainer/model")


def test_false_condition_skips_the_task(tmp_path: Path) -> None:
    result = checked(pushing(toy(blessed=0)), tmp_path)
    assert states(result) == {"Trainer": "ran", "Judge": "ran", "Pusher": "skipped"}
    assert (result.status, result.pushed, result.error) == ("not_blessed", None, None)


def test_failed_task_is_reported_in_one_line_and_downstream_tasks_are_skipped(tmp_path: Path) -> None:
    compiled = toy()
    compiled.add("Judge", container("raise ValueError('found 3 rows; expected 4')"), {"model": ("Trainer", "model")})
    compiled.add("Aside", container("write_output()"))
    result = checked(compiled, tmp_path)
    assert states(result) == {"Trainer": "ran", "Aside": "ran", "Judge": "failed", "Pusher": "skipped"}
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.startswith("Judge: ValueError: found 3 rows; expected 4; full log: ")
    assert "Traceback" in (Path(result.logs) / "Judge.log").read_text()


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("class DataAnomaliesError(ValueError): pass\nraise DataAnomaliesError('fare')", "anomalies", "fare"),
        ("sys.exit(3)", "failed", "failed with exit code 3"),
    ],
)
def test_anomalies_are_distinguished_from_a_failed_gate(line: str, status: str, message: str, tmp_path: Path) -> None:
    compiled = Compiled()
    compiled.add("AnomalyGate", container(line))
    result = checked(compiled, tmp_path)
    assert result.status == status
    assert result.error is not None
    assert message in result.error
    assert result.error.endswith(f"; full log: {result.logs}/AnomalyGate.log")


def test_parameter_that_is_not_constant_is_refused(tmp_path: Path) -> None:
    compiled = Compiled()
    compiled.add("Gen", container("write_output()"), parameters={"span": 1})
    compiled.tasks["Gen"]["inputs"]["parameters"]["span"] = {"componentInputParameter": "span"}
    with pytest.raises(SpecError, match="lacks 'runtimeValue'"):
        checked(compiled, tmp_path)


def test_resolvers_find_artifacts_of_earlier_checks(tmp_path: Path) -> None:
    compiled = toy()
    blessing = 'schema_title="tfx.ModelBlessing" AND state=LIVE AND metadata.blessed.number_value=1'
    model = (
        'schema_title="tfx.Model" AND state=LIVE AND '
        "name=\"{{$.inputs.artifacts['input'].metadata['current_model_id']}}\""
    )
    judge = "write_output(blessed=1, current_model_id=inputs['model'][0]['name'], found=inputs['baseline'])"
    compiled.add("FindBlessing", resolver("blessing", blessing), outputs={"blessing": BLESSING})
    compiled.add("FindModel", resolver("model", model), {"input": ("FindBlessing", "blessing")}, {"model": SCHEMA})
    inputs = {"model": ("Trainer", "model"), "baseline": ("FindModel", "model")}
    compiled.add("Judge", container(judge), inputs, {"blessing": BLESSING})
    found = []
    for _ in range(3):
        result = checked(compiled, tmp_path)
        assert result.error is None
        [file] = (tmp_path / "out/buckets/bucket/toy/artifacts").glob(f"{Path(result.logs).name}/Judge/*.json")
        [artifact] = json.loads(file.read_text())["artifacts"]["blessing"]["artifacts"]
        found.append(artifact["metadata"]["found"])
    assert found[0] == []
    names = [each["metadata"] for each in found[1] + found[2]]
    assert len(found[1]) == len(found[2]) == 1
    assert found[1][0]["uri"] != found[2][0]["uri"], names


def resolver(key: str, query: str) -> dict[str, object]:
    return {"resolver": {"outputArtifactQueries": {key: {"filter": query}}}}


def test_importer_outputs_its_artifact(tmp_path: Path) -> None:
    compiled = Compiled()
    importer = {"artifactUri": {"constant": "gs://elsewhere/model"}, "typeSchema": {"instanceSchema": SCHEMA}}
    compiled.add("Import", {"importer": importer}, outputs={"model": SCHEMA})
    compiled.add("Look", container("print(inputs['model'][0]['uri']); write_output()"), {"model": ("Import", "model")})
    result = checked(compiled, tmp_path)
    assert states(result) == {"Import": "ran", "Look": "ran"}
    assert f"{tmp_path}/out/buckets/elsewhere/model" in (Path(result.logs) / "Look.log").read_text()


def test_parameters_of_the_hook_reach_the_command(tmp_path: Path) -> None:
    compiled = Compiled()
    hook = "file.parent.mkdir(parents=True); file.write_text(json.dumps({'parameterValues': {'span': 7}}))"
    line = "assert invocation['inputs']['parameterValues'] == {'span': 7, 'base': 1}, invocation; write_output()"
    compiled.add("Gen", container(line, hook), outputs={"examples": SCHEMA}, parameters={"span": 0, "base": 1})
    assert states(checked(compiled, tmp_path)) == {"Gen": "ran"}


def test_table_in_a_bucket_has_to_exist_locally(tmp_path: Path) -> None:
    compiled = Compiled()
    line = "values = invocation['inputs']['parameterValues']; assert values['input_base'] == values['expected']"
    parameters = {"input_base": "gs://bucket/table", "expected": str(tmp_path)}
    compiled.add("ExampleGen", container(f"{line}; write_output()"), parameters=parameters)
    with pytest.raises(
        SpecError, match=r"found no folder .*/buckets/bucket/table; put the table there, or pass .* --data"
    ):
        checked(compiled, tmp_path)
    assert states(checked(compiled, tmp_path, data=tmp_path)) == {"ExampleGen": "ran"}


def test_dataflow_tasks_run_locally(tmp_path: Path) -> None:
    compiled = Compiled()
    executor = container(
        "assert '--project=p' not in sys.argv and sys.argv[2].endswith('.FnApiRunner'); write_output()"
    )
    arguments = ["--json_serialized_invocation_args", "{{$}}", "--runner=DataflowRunner", "--project=p"]
    executor["container"]["args"] = arguments
    executor["container"]["command"][2] = executor["container"]["command"][2].replace("sys.argv[1]", "sys.argv.pop(2)")
    compiled.add("ExampleGen", executor)
    assert states(checked(compiled, tmp_path)) == {"ExampleGen": "ran"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "found no 'pipelineSpec'; expected a file that vertex_runner.py compile wrote"),
        ("[]", "expected a file that vertex_runner.py compile wrote"),
        ("no json", "expected a file that vertex_runner.py compile wrote"),
        ("[" * 100_000, "recursion depth exceeded .*; expected a file that vertex_runner.py compile wrote"),
        ('{"pipelineSpec": {"schemaVersion": "2.0.0"}}', "found pipeline spec 2.0.0; expected 2.1.0"),
        ('{"pipelineSpec": {"tasks": {}}}', "expected a file that vertex_runner.py compile wrote"),
    ],
)
def test_invalid_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SpecError, match=message):
        check(tmp_path / "x.json", tmp_path / "out", Recorder())
    assert not (tmp_path / "out").exists()


def test_cyclic_tasks_are_refused() -> None:
    compiled = Compiled()
    compiled.add("A", container(""), after=("B",))
    compiled.add("B", container(""), after=("A",))
    with pytest.raises(SpecError, match="the tasks A, B depend on each other"):
        read_spec(json.dumps(compiled.job))
    compiled.add("A", container(""), after=("C",))
    with pytest.raises(SpecError, match="lacks 'C'"):
        read_spec(json.dumps(compiled.job))


def test_ctrl_c_stops_the_tasks_and_their_children(tmp_path: Path) -> None:
    compiled = Compiled()
    pids = tmp_path / "pids"
    line = (
        "import os, subprocess; child = subprocess.Popen(['sleep', '60']); "
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}} '); child.wait()"
    )
    compiled.add("Slow", container(line))
    file = compiled.write(tmp_path / "toy.json")
    command = [sys.executable, "vertex_runner.py", "check", str(file), f"--output={tmp_path / 'out'}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not pids.exists() or not pids.read_text().endswith(" "):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in err
    assert not [pid for pid in pids.read_text().split() if is_running(pid)]


def is_running(pid: str) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_unwritable_output_is_refused(tmp_path: Path) -> None:
    compiled = Compiled()
    compiled.add("One", container("pass"))
    (tmp_path / "out").touch()
    with pytest.raises(SpecError, match=r"^--output: cannot write to .*out .Not a directory.; expected a folder"):
        checked(compiled, tmp_path)
