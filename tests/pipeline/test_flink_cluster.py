"""Real steps on a real Flink cluster of this machine's own; make flink-test runs them."""

import collections
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from conftest import ROOT, Finished, arguments, newest, run
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.config import EVAL, SPLITS
from pipeline.flink import cluster, rest
from pipeline.flink.process import free_port, listens

pytestmark = [
    pytest.mark.flink,
    pytest.mark.skipif(not (shutil.which("java") and shutil.which("mvn")), reason="needs Java 17 and Maven"),
]
PARALLELISM = 2


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster.running(slots=PARALLELISM) as found:
        yield found


@pytest.fixture(scope="module")
def here(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    output = tmp_path_factory.mktemp("here")
    return output, run(output, "--no-tune", f"--data={table}", "--to=Evaluator", "--json")


@pytest.fixture(scope="module")
def there(address: str, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    output = tmp_path_factory.mktemp("there")
    return output, run(output, "--no-tune", f"--data={table}", "--to=Transform", "--json", **on_flink(address))


def on_flink(address: str) -> dict[str, Any]:
    return {"beam__runner": "flink", "beam__flink": {"address": address, "parallelism": PARALLELISM}}


def statistics(output: Path, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics of a split, their features in the order of their names, which is left to chance."""
    path = newest(output, "StatisticsGen/statistics") / f"Split-{split}" / "FeatureStats.pb"
    found = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    features = sorted(found.datasets[0].features, key=lambda feature: str(feature.path))
    del found.datasets[0].features[:]
    found.datasets[0].features.extend(features)
    return found


def rows(output: Path, kind: str, split: str) -> list[dict[str, Any]]:
    files = sorted(map(str, (newest(output, kind) / f"Split-{split}").glob("*.gz")))
    examples = map(tf.train.Example.FromString, tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    return [{name: _values(feature) for name, feature in example.features.feature.items()} for example in examples]


def _values(feature: tf.train.Feature) -> tuple[Any, ...]:
    return tuple(getattr(feature, feature.WhichOneof("kind")).value)


def counted(found: list[dict[str, Any]]) -> collections.Counter[str]:
    return collections.Counter(repr(sorted(row.items())) for row in found)


def ordered(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by their whole numbers and strings, and then by what may differ by the last bit."""
    exact = {name for row in found for name, values in row.items() if not any(isinstance(v, float) for v in values)}
    return sorted(found, key=lambda row: (sorted((n, row[n]) for n in row if n in exact), sorted(row.items())))


def test_each_step_on_beam_ran_on_the_cluster(address: str, there: tuple[Path, Finished]) -> None:
    _, finished = there
    assert finished.code == 0, finished.stderr
    assert finished.states["ExampleGen"] == finished.states["Transform"] == "ran"
    jobs = rest.ask(address, "/jobs/overview")["jobs"]
    done = [job for job in jobs if job["name"].startswith("onegraph-") and job["state"] == "FINISHED"]
    assert len(done) >= 3  # ExampleGen, StatisticsGen, Transform


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_the_same_rows_and_statistics(
    split: str, here: tuple[Path, Finished], there: tuple[Path, Finished]
) -> None:
    kind = "ExampleGen/examples"
    assert counted(rows(here[0], kind, split)) == counted(rows(there[0], kind, split))
    assert statistics(here[0], split) == statistics(there[0], split)


def test_the_transform_graph_is_the_same(here: tuple[Path, Finished], there: tuple[Path, Finished]) -> None:
    graphs = [newest(output, "Transform/transform_graph") for output, _ in (here, there)]
    assets = [{path.name: path.read_bytes() for path in graph.rglob("assets/*")} for graph in graphs]
    assert assets[0] == assets[1]
    assert assets[0]
    outputs = [_transformed(graph, _serialized(here[0], EVAL)) for graph in graphs]
    assert set(outputs[0]) == set(outputs[1])
    for name, values in outputs[0].items():
        assert values == pytest.approx(outputs[1][name], rel=1e-6, abs=1e-6), name


def _serialized(output: Path, split: str) -> list[bytes]:
    files = sorted(map(str, (newest(output, "ExampleGen/examples") / f"Split-{split}").glob("*.gz")))
    return list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def _transformed(graph: Path, raw: list[bytes]) -> dict[str, Any]:
    output = tft.TFTransformOutput(str(graph))
    found = output.transform_raw_features(tf.io.parse_example(raw, output.raw_feature_spec()))
    return {name: values.numpy() for name, values in found.items()}


def test_the_transformed_rows_are_the_same(here: tuple[Path, Finished], there: tuple[Path, Finished]) -> None:
    kind = "Transform/transformed_examples"
    ours, theirs = (ordered(rows(output, kind, EVAL)) for output, _ in (here, there))
    assert len(ours) == len(theirs) > 100
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert list(values) == pytest.approx(list(other[name]), rel=1e-6, abs=1e-6), name


def test_the_evaluator_finds_the_same_metrics(address: str, here: tuple[Path, Finished], table: Path) -> None:
    output, before = here
    options = ("--no-tune", f"--data={table}", "--from=Evaluator", "--to=Evaluator", "--json")
    again = run(output, *options, **on_flink(address))
    assert again.states["Evaluator"] == "ran", again.stderr
    assert again.summary["metrics"] == pytest.approx(before.summary["metrics"], rel=1e-6)
    for one, other in zip(before.summary["thresholds"], again.summary["thresholds"], strict=True):
        values = (one.pop("value"), other.pop("value"))  # None where there is no baseline
        assert one == other
        assert values[0] == (values[1] if values[1] is None else pytest.approx(values[1], rel=1e-6))


@contextlib.contextmanager
def stopped_in_a_job(
    address: str, output: Path, table: Path
) -> Iterator[tuple["subprocess.Popen[str]", psutil.Process]]:
    """A run whose first job is on the cluster, and its job server."""
    options = ("--no-tune", f"--data={table}", "--to=ExampleGen", "--json")
    command = arguments(output, *options, **on_flink(address))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True) as process:
        until(lambda: bool(unfinished(address)) or process.poll() is not None)
        [server] = (each for each in psutil.Process(process.pid).children(recursive=True) if each.name() == "java")
        yield process, server
    until(lambda: not server.is_running())
    until(lambda: not unfinished(address))


def unfinished(address: str) -> list[str]:
    return [job["name"] for job in rest.ask(address, "/jobs/overview")["jobs"] if job["end-time"] < 0]


def until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_ctrl_c_cancels_the_job_and_ends_the_job_server(address: str, tmp_path: Path, table: Path) -> None:
    with stopped_in_a_job(address, tmp_path, table) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_job_server_that_dies_is_named_and_its_job_is_cancelled(address: str, tmp_path: Path, table: Path) -> None:
    with stopped_in_a_job(address, tmp_path, table) as (process, server):
        server.kill()
        stdout, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert json.loads(stdout)["error"].startswith("ExampleGen: Beam's job server ended (exit code 137): ")


def test_workers_of_a_pool_import_the_project(address: str, tmp_path: Path, table: Path) -> None:
    pool, log = f"127.0.0.1:{free_port()}", tmp_path / "log"
    command = [sys.executable, "-m", "pipeline.flink.worker_pool", f"--listen={pool}"]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT) as workers:
        try:
            until(lambda: listens(pool) or workers.poll() is not None)
            settings = {"address": address, "workers": "external", "pool": pool}
            options = ("--no-tune", f"--data={table}", "--to=ExampleGen")
            finished = run(tmp_path / "out", *options, beam__runner="flink", beam__flink=settings)
        finally:
            workers.terminate()
    assert finished.code == 0, finished.stderr
    assert len(rows(tmp_path / "out", "ExampleGen/examples", EVAL)) > 100
    assert "Starting worker with command" in log.read_text()
