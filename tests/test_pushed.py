import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from conftest import Finished
from pushed_run import PushedRun
from server_process import Server, free_port, wait_until_open

from artifacts.nodes.label_counts import read_label_counts
from common.project import ROOT
from serving.edge import load

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def output(pushed_run: PushedRun) -> Path:
    return pushed_run.output


@pytest.fixture(scope="module")
def first(pushed_run: PushedRun) -> Finished:
    finished = pushed_run.finished
    assert finished.code == 0, finished.stderr
    return finished


def test_tflite_model_is_pushed_and_summarized(first: Finished, output: Path) -> None:
    summary = first.summary
    assert first.states["TfliteExporter"] == "ran"
    assert first.states["Pusher"] == "ran"
    tflite, version = summary["tflite"], summary["pushed"]["version"]
    folder = output / "tflite/taxi" / version
    assert tflite["path"] == str(folder / "model.tflite")
    assert tflite["quantization"] == "none"
    assert tflite["builtin_only"] is True
    assert tflite["max_abs_diff"] <= 1e-5
    assert tflite["metric"] == "auc"
    assert tflite["tflite"] == pytest.approx(summary["metrics"]["auc"], abs=0.01)
    assert 0 < tflite["p50_ms"] <= tflite["p99_ms"]
    content = (folder / "model.tflite").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["bytes"] == tflite["bytes"] == len(content)
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert (manifest["version"], manifest["run_id"]) == (version, summary["run_id"])
    bounds = {each["metric"]: each["ok"] for each in summary["thresholds"] if each["metric"].startswith("tflite_")}
    assert bounds == {"tflite_auc_loss": True, "tflite_max_abs_diff": True}
    assert (folder / "provenance.json").read_text() == (
        output / "serving/taxi" / version / "provenance.json"
    ).read_text()


def test_classes_of_every_split_are_counted(first: Finished, output: Path) -> None:
    [folder] = (output / "artifacts/Transform/transformed_examples").iterdir()
    rows = {split: sum(read_label_counts(folder, split).values()) for split in first.summary["rows"]}
    assert rows == first.summary["rows"]
    assert set(read_label_counts(folder, "train")) == {0, 1}
    page = (output / "runs" / first.summary["run_id"] / "report.html").read_text()
    assert "Fraction of each class of" in page


def test_tflite_file_is_traced_to_its_data(first: Finished, output: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(Path(first.summary["tflite"]["path"]).parent, copy)
    command = [sys.executable, "-m", "lineage", "trace", str(copy / "model.tflite"), f"--output={output}", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)
    assert found["provenance"]["version"] == found["story"]["version"] == first.summary["pushed"]["version"]
    assert found["story"]["tflite_path"] == first.summary["tflite"]["path"]
    assert found["story"]["tflite"]["p50_ms"] == pytest.approx(first.summary["tflite"]["p50_ms"], abs=1e-4)
    assert found["story"]["rows"] == first.summary["rows"]
    [exporter] = [each for each in found["story"]["judgements"] if each["judge"] == "TfliteExporter"]
    assert exporter["blessed"]


@pytest.fixture(scope="module")
def served(first: Finished) -> Any:
    """The signature that a server calls."""
    return tf.saved_model.load(first.summary["pushed"]["path"]).signatures["serving_default"]


@pytest.mark.parametrize(
    "row",
    [{}, {"fare": 12.5, "payment_type": "Cash", "company": "Flash Cab"}, {"company": "Fußläufig 東京", "fare": -1.0}],
)
def test_device_predicts_like_the_server(first: Finished, served: Any, row: dict[str, float | str]) -> None:
    line = [sys.executable, "-m", "serving.edge", first.summary["tflite"]["path"], "--json", json.dumps(row)]
    answer = json.loads(subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True).stdout)
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        if isinstance(value, str)
        else tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for name, value in row.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    expected = served(tf.constant([example]))["predictions"].numpy()[0].tolist()
    assert answer["predictions"] == pytest.approx(expected, abs=1e-5)
    assert answer["class"] in ("ordinary", "generous")


@pytest.fixture(scope="module")
def server(first: Finished, output: Path) -> Iterator[Server]:
    """``make serve`` over what was pushed, on other ports."""
    port, rest_port = free_port(), free_port()
    environment = {**os.environ, "BASE": str(output / "serving/taxi"), "PORT": str(port), "REST_PORT": str(rest_port)}
    log = output / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(["scripts/serve.sh"], stdout=file, stderr=file, text=True, cwd=ROOT, env=environment)
    try:
        yield wait_until_open(Server(port, rest_port, log, process))
    finally:
        process.terminate()
        assert process.wait(60) == 0


def documented_commands(program: str) -> list[str]:
    """Commands of a program in the README and in docs/serving.md, including their continuation lines."""
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/serving.md"))
    return re.findall(rf"^    ({program} .*?')$", pages, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("command", documented_commands("curl"))
def test_documented_rest_requests_get_predictions(server: Server, command: str) -> None:
    line = command.replace("localhost:8501", f"127.0.0.1:{server.rest_port}")
    answer = subprocess.run(["bash", "-c", f"{line} -sf"], capture_output=True, text=True, check=True).stdout
    assert "generous" in answer


def test_the_documented_grpc_request_gets_predictions(server: Server) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/serving.md").read_text(), re.MULTILINE | re.DOTALL)
    program = program.replace("localhost:8500", f"127.0.0.1:{server.port}")
    line = [sys.executable, "-c", program]
    answer = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"\[b'ordinary', b'generous'\] \[0\.\d+, 0\.\d+\]\n", answer)


def test_client_gets_the_same_predictions_over_both_protocols(server: Server, output: Path, tmp_path: Path) -> None:
    rows = [{"fare": 12.5, "payment_type": "Credit Card"}, {}, {"company": "東京", "trip_start_hour": 20}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = [sys.executable, "-m", "serving.client", "predict", "--model=taxi", f"--rows={tmp_path / 'rows.jsonl'}"]
    answers = []
    for options in (
        [f"--address=127.0.0.1:{server.port}"],
        ["--protocol=rest", f"--address=127.0.0.1:{server.rest_port}"],
    ):
        shown = subprocess.run([*line, *options], capture_output=True, text=True, cwd=ROOT, check=True).stdout
        answers.append([json.loads(each)["predictions"][0] for each in shown.splitlines()])
    newest = max(output.glob("tflite/taxi/*"), key=lambda path: int(path.name))  # the server's newest too
    on_device = [load(newest / "model.tflite").predict(row)[0] for row in rows]
    assert answers[0] == pytest.approx(answers[1], rel=1e-6, abs=1e-6)
    assert answers[0] == pytest.approx(on_device, abs=1e-5)


def test_the_pages_document_rest_requests() -> None:
    assert len(documented_commands("curl")) == 3


def test_folder_without_a_version_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "BASE": str(tmp_path)}
    refused = subprocess.run(
        ["scripts/serve.sh"], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {tmp_path}: found no version")
