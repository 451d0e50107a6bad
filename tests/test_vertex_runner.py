"""The commands of ``vertex_runner.py``, as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, Finished, arguments
from pushed_run import PushedRun

import vertex_runner
from artifacts.nodes.metrics import Metrics, read_metrics
from cloud.stand_in import StandIn
from common.terminal import OutputError

GOLDEN = ROOT / "tests/pipeline/vertex/golden/taxi.json"
PLACE = (
    "--project=my-project",
    "--region=europe-west4",
    "--bucket=gs://my-bucket",
    "--image=europe-west4-docker.pkg.dev/my-project/onegraph/steps:1",
)


def vertex(*options: str) -> Finished:
    command = [sys.executable, str(ROOT / "vertex_runner.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return Finished(result.returncode, result.stdout, result.stderr)


def test_a_full_standard_output_is_no_error_of_the_settings() -> None:
    """``run_command`` reports it, and exits with another code than a refusal."""
    with Path("/dev/full").open("w") as full:
        kept = os.dup(1)
        os.dup2(full.fileno(), 1)
        try:
            with pytest.raises(OutputError), vertex_runner._reported_errors(verbose=True) as (out, _):
                print("wrote pipeline.json", file=out)
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def quick(**settings: Any) -> list[str]:
    """Options of a quick run."""
    return [each for each in arguments(Path("unused"), **settings) if each.startswith("--set=")]


def compiled(folder: Path, **settings: Any) -> Path:
    """Compiles a quick run on a table in a bucket; returns the file."""
    file = folder / "pipeline.json"
    result = vertex("compile", *PLACE, *quick(**settings), "--data=gs://my-bucket/table", f"--out={file}")
    assert result.code == 0, result.stderr
    assert result.stdout.startswith(f"wrote {file}: ")
    assert result.stderr == ""
    return file


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(1200)
def test_golden_file_pushes_the_same_model_as_a_local_run(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    checked = check(GOLDEN, tmp_path / "check", fresh="ExampleGen")
    assert checked.code == 0, checked.stderr
    assert {*checked.states.values()} == {"ran"}
    pushed = Path(checked.summary["pushed"])
    assert pushed.parent == tmp_path / "check/buckets/my-bucket/taxi/serving/taxi"
    assert (pushed / "saved_model.pb").is_file()
    assert (pushed.parents[2] / "tflite/taxi" / pushed.name / "model.tflite").is_file()
    local: PushedRun = request.getfixturevalue("sample_run")  # by now another worker has made it
    [there] = (tmp_path / "check").glob("buckets/my-bucket/taxi/artifacts/*")
    assert_same_model(pushed, there, local)


def assert_same_model(pushed: Path, artifacts: Path, local: PushedRun) -> None:
    """Compares a check of the golden file with a local run: same data and settings give the same model, to the bit."""
    first = local.output / "artifacts"  # other tests may rerun the last nodes
    metrics, report = (oldest(first / each) for each in ("Evaluator/evaluation", "SkewGuard/report"))
    expected = flat(read_metrics(metrics))
    assert len(expected) >= 20
    assert flat(read_metrics(artifacts / "Evaluator/evaluation")) == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
    assert read_json(artifacts / "Trainer/model_run/hyperparameters.json") == local.finished.summary["hyperparameters"]
    ours, theirs = (read_json(folder / "report.json") for folder in (artifacts / "SkewGuard/report", report))
    assert (ours["graph"], ours["vocabularies"]) == (theirs["graph"], theirs["vocabularies"])
    [raw] = (oldest(first / "ExampleGen/examples") / "Split-eval").iterdir()
    records = tf.constant(list(tf.data.TFRecordDataset(str(raw), "GZIP").as_numpy_iterator()))
    answers = [
        tf.saved_model.load(str(model)).signatures["serving_default"](records)["predictions"].numpy()
        for model in (pushed, local.finished.summary["pushed"]["path"])
    ]
    np.testing.assert_array_equal(*answers)


def oldest(folder: Path) -> Path:
    """The folder of the first artifact."""
    return min(folder.iterdir(), key=lambda path: int(path.name))


def read_json(file: Path) -> Any:
    return json.loads(file.read_text())


def flat(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {(name, metric): value for name, each in metrics.slices.items() for metric, value in each.values.items()}


def job_replicas(checked: Finished) -> set[str]:
    """Names of the custom jobs' replicas, from their logs."""
    return {path.stem for path in Path(checked.summary["logs"]).glob("*-workerpool*.log")}


def check_small_table(table: Path, folder: Path, **settings: Any) -> Finished:
    """Compiles a quick run that serves from an endpoint, and checks it with the small table."""
    endpoint = {"name": "taxi", "image": "europe-west4-docker.pkg.dev/my-project/docker-hub/tensorflow/serving:2.19.1"}
    file = compiled(folder, **settings, vertex__endpoint=endpoint)
    return check(file, folder / "check", f"--data={table}")


def check(file: Path, output: Path, *options: str, fresh: str = "") -> Finished:
    """Checks a compiled file. Its tasks do not have to import TFX, except for the one named ``fresh``."""
    program = [sys.executable, str(ROOT / "tests/support/forked_check.py")]
    command = [*program, "check", str(file), f"--output={output}", *options, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FRESH": fresh}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    return Finished(result.returncode, result.stdout, result.stderr)


@pytest.mark.slow
@pytest.mark.e2e
def test_check_tunes_and_trains_in_jobs_and_deploys_to_an_endpoint(table: Path, tmp_path: Path) -> None:
    """The Trainer's job has three pools: the chief, the workers and the parameter server. Vizier chooses the trials."""
    tuning = {"tuning__workers": 2, "tuning__algorithm": "vizier"}
    checked = check_small_table(table, tmp_path, training__strategy="parameter_server", training__workers=2, **tuning)
    assert checked.code == 0, checked.stderr
    assert {*checked.states.values()} == {"ran"}
    assert "VertexEndpoint" in checked.states
    assert job_replicas(checked) == {
        *(f"taxi-trainer-workerpool{each}" for each in ("0-0", "1-0", "1-1", "2-0")),
        *(f"taxi-tuner-workerpool{each}" for each in ("0-0", "1-0")),
    }


@pytest.mark.slow
@pytest.mark.e2e
def test_check_pushes_only_a_blessed_model(table: Path, tmp_path: Path) -> None:
    """The Trainer's job has two replicas."""
    policy = {"metrics": ["auc"], "slices": [], "thresholds": [{"metric": "auc", "min": 0.9999}]}
    checked = check_small_table(table, tmp_path, training__workers=2, tuning__enabled=False, evaluation=policy)
    assert checked.code == 4, checked.stderr
    assert job_replicas(checked) == {f"taxi-trainer-workerpool{each}-0" for each in "01"}
    assert {node for node, state in checked.states.items() if state == "skipped"} == {"Pusher", "VertexEndpoint"}
    assert not (tmp_path / "check/buckets/my-bucket/taxi/serving").exists()


def test_invalid_settings_are_reported_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    result = vertex("compile", *PLACE[1:], f"--out={file}")
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "error configs/taxi.yaml: vertex.project: missing; set it there or with --project\n"
    assert not file.exists()


@pytest.mark.parametrize("command", ["compile", "submit"])
def test_settings_are_checked_before_anything_heavy_is_imported(command: str) -> None:
    last = "atexit.register(lambda: print('tfx' in sys.modules))"
    line = f"import atexit, sys, vertex_runner; {last}; vertex_runner.main(['{command}'])"
    result = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (result.returncode, result.stdout) == (2, "False\n")
    assert "vertex.project: missing" in result.stderr


def test_missing_file_is_reported_in_one_line(tmp_path: Path) -> None:
    result = vertex("check", str(tmp_path / "none.json"), f"--output={tmp_path / 'out'}")
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error {tmp_path}/none.json: No such file or directory; expected a file that vertex_runner.py compile wrote\n"
    )


@pytest.mark.parametrize("options", [["--output="], ["--output=out", "--data="]])
def test_empty_folder_option_is_refused(options: list[str]) -> None:
    result = vertex("check", "pipeline.json", *options)
    assert (result.code, result.stdout) == (2, "")
    assert f"Invalid value for '{options[-1][:-1]}': found ''; expected a folder" in result.stderr


def test_submitted_pipeline_is_reported_with_its_link(stand_in: StandIn, tmp_path: Path) -> None:
    result = vertex("submit", *PLACE, *quick(), f"--out={tmp_path / 'sent.json'}")
    assert result.code == 0, result.stderr
    [job] = stand_in.resources("pipelineJobs")
    assert json.loads((tmp_path / "sent.json").read_text())["pipelineSpec"]["pipelineInfo"]["name"] == "taxi"
    assert job["displayName"] == "taxi"
    assert "Trainer" in job["pipelineSpec"]["root"]["dag"]["tasks"]
    run_id = job["name"].rpartition("/")[2]
    assert result.stdout.startswith(f"run {job['name']} (PIPELINE_STATE_")
    assert f"/runs/{run_id}?project=my-project" in result.stdout


def test_error_of_vertex_ai_is_reported_in_one_line(stand_in: StandIn) -> None:
    result = vertex("rollback", *PLACE[:2], "--set=vertex.endpoint={name: taxi, image: e/serving:1}")
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        "error Vertex AI in my-project, europe-west4: found no endpoint named taxi; expected one: check "
        "vertex.endpoint.name\n"
    )
