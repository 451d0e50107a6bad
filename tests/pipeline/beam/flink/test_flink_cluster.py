"""Steps on a local Flink cluster; run by make flink-test."""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.options.pipeline_options import PipelineOptions
from conftest import ROOT, Finished, arguments, newest, run
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.beam.arguments import flink_args
from pipeline.beam.flink import cluster, rest
from pipeline.beam.flink.addresses import HOST, free_port, is_listening
from pipeline.beam.flink.jar import JOB_SERVER
from pipeline.beam.flink.job_server import job_servers
from pipeline.beam.flink.process import EndedError
from pipeline.beam.flink.runner import FlinkError
from pipeline.config.beam import Flink
from pipeline.config.errors import ConfigError
from pipeline.config.settings import EVAL, SPLITS

pytestmark = pytest.mark.flink
PARALLELISM = 2
ENDED = threading.Event()  # of the waiting job


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(cluster.running(slots=PARALLELISM))
        except (ConfigError, EndedError) as error:
            raise pytest.fail.Exception(f"No Flink cluster to test with: {error}", pytrace=False) from None
        yield found.address


@pytest.fixture(scope="module")
def here(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    output = tmp_path_factory.mktemp("here")
    return output, run(output, "--no-tune", f"--data={table}", "--to=Evaluator", "--json")


@pytest.fixture(scope="module")
def there(address: str, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    output = tmp_path_factory.mktemp("there")
    return output, run(output, "--no-tune", f"--data={table}", "--to=Transform", "--json", **on_flink(address))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[str]:
    """The address of a worker pool that logs the processes it starts to ``log``."""
    found = f"{HOST}:{free_port()}"
    command = [sys.executable, "-m", "pipeline.beam.flink.worker_pool", f"--listen={found}"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT) as process:
        until(lambda: is_listening(found) or process.poll() is not None)
        yield found
        process.terminate()


def on_flink(address: str, **settings: Any) -> dict[str, Any]:
    return {"beam__runner": "flink", "beam__flink": {"address": address, "parallelism": PARALLELISM, **settings}}


def statistics(output: Path, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics of a split, with features sorted by name, since their order is random."""
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
    """Rows sorted by integers and strings first, and then by floats, which may differ in the last bit."""
    exact = {name for row in found for name, values in row.items() if not any(isinstance(v, float) for v in values)}
    return sorted(found, key=lambda row: (sorted((n, row[n]) for n in row if n in exact), sorted(row.items())))


def test_each_step_on_beam_ran_on_the_cluster(address: str, there: tuple[Path, Finished]) -> None:
    _, finished = there
    assert finished.code == 0, finished.stderr
    assert finished.states["ExampleGen"] == finished.states["Transform"] == "ran"
    jobs = rest.request_json(address, "/jobs/overview")["jobs"]
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


def test_the_evaluator_finds_the_same_metrics_with_the_workers_of_a_pool(
    address: str, pool: str, here: tuple[Path, Finished], table: Path, tmp_path: Path
) -> None:
    output, before = here
    options = ("--no-tune", f"--data={table}", "--from=Evaluator", "--to=Evaluator", "--json")
    again = run(output, *options, **on_flink(address, workers="external", pool=pool))
    assert again.states["Evaluator"] == "ran", again.stderr
    assert "Starting worker with command" in (tmp_path / "log").read_text()
    assert again.summary["metrics"] == pytest.approx(before.summary["metrics"], rel=1e-6)
    for one, other in zip(before.summary["thresholds"], again.summary["thresholds"], strict=True):
        values = (one.pop("value"), other.pop("value"))  # None where there is no baseline
        assert one == other
        assert values[0] == (values[1] if values[1] is None else pytest.approx(values[1], rel=1e-6))


def test_ctrl_c_cancels_the_job_and_ends_the_job_server(address: str, tmp_path: Path, table: Path) -> None:
    options = ("--no-tune", f"--data={table}", "--to=ExampleGen", "--json")
    command = arguments(tmp_path, *options, **on_flink(address))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        until(lambda: bool(unfinished(address)) or process.poll() is not None)
        server = job_server_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    until(lambda: not server.is_running())
    until(lambda: not unfinished(address))


# Beam's thread that reads the messages of the job fails too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_job_server_that_dies_is_named_and_its_job_is_cancelled(address: str) -> None:
    with job_servers():
        pipeline = beam.Pipeline(options=PipelineOptions(flink_args(Flink(address=address))))
        _ = pipeline | beam.Create([60.0]) | beam.Map(wait)
        result = pipeline.run()
        until(lambda: bool(unfinished(address)))
        job_server_of(os.getpid()).kill()
        with pytest.raises(FlinkError, match=r"^Beam's job server ended with exit code 137: .*; the step was canceled"):
            result.wait_until_finish()
    ENDED.set()
    until(lambda: not unfinished(address))


def wait(seconds: float) -> None:
    """A step that does not end before its job."""
    ENDED.wait(seconds)


def job_server_of(pid: int) -> psutil.Process:
    [found] = (
        each
        for each in psutil.Process(pid).children(recursive=True)
        if each.cmdline()[0].endswith("java") and JOB_SERVER in each.cmdline()
    )
    return found


def unfinished(address: str) -> list[str]:
    return [job["name"] for job in rest.request_json(address, "/jobs/overview")["jobs"] if job["end-time"] < 0]


def until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)
