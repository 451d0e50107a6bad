import socket

import grpc
import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import create_runner
from tfx.utils.dependency_utils import make_beam_dependency_flags

from pipeline.beam.arguments import flink_args
from pipeline.beam.flink import cluster
from pipeline.beam.flink.addresses import HOST, free_port
from pipeline.beam.flink.job_server import JobServer, job_servers, shared
from pipeline.beam.flink.process import EndedError
from pipeline.beam.flink.runner import FlinkError, FlinkRunner, Job, root_cause
from pipeline.config.beam import Flink


def test_beam_understands_its_arguments() -> None:
    options = PipelineOptions(flink_args(Flink(address="here:8081", parallelism=3)))
    assert options.view_as(FlinkRunnerOptions).flink_master == "here:8081"
    assert options.view_as(FlinkRunnerOptions).parallelism == 3
    assert options.view_as(PortableOptions).environment_type == "LOOPBACK"
    assert options.view_as(PortableOptions).job_endpoint is None
    assert isinstance(create_runner(options.view_as(StandardOptions).runner), FlinkRunner)


def test_external_workers_use_the_pool_and_a_given_job_server() -> None:
    settings = Flink(workers="external", pool="localhost:50001", job_server="there:8099")
    options = PipelineOptions(flink_args(settings)).view_as(PortableOptions)
    assert (options.environment_type, options.environment_config) == ("EXTERNAL", "localhost:50001")
    assert options.job_endpoint == "there:8099"


def test_tfx_does_not_package_itself_for_flink() -> None:
    arguments = flink_args(Flink())
    assert make_beam_dependency_flags(arguments) == arguments


class Broken(grpc.RpcError):
    """The error that gRPC raises if a server is gone."""


def test_job_server_that_ends_is_reported_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobServer, "_is_ready", lambda _: True)
    died = ["sh", "-c", "sleep 0.3; echo 'java.lang.OutOfMemoryError: heap'; exit 1"]
    monkeypatch.setattr("pipeline.beam.flink.job_server.java", lambda *_: died)
    address = f"127.0.0.1:{free_port()}"
    with job_servers():
        server = shared(address)
        server.start()
        job = Job(PipelineOptions(flink_args(Flink(address=address))))
        text = r"Beam's job server ended with exit code 1: java.lang.OutOfMemoryError: heap; the step was canceled"
        with pytest.raises(FlinkError, match=text), job.raising_flink_errors():
            raise Broken
        server.start()  # the next step gets a new one
        assert not server.describe_end()
        assert shared(address) is server
    assert shared(address) is not server


def test_cluster_that_ends_is_reported_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_is_ready", lambda *_: True)
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.1)
    died = ["sh", "-c", "sleep 0.3; echo 'java.lang.OutOfMemoryError: heap'; exit 3"]
    lives = ["sleep", "60"]
    monkeypatch.setattr(cluster, "java", lambda name, *_, **__: died if name == cluster.TASK_MANAGER else lives)
    text = r"^Flink's task manager ended with exit code 3: java.lang.OutOfMemoryError: heap$"
    with cluster.running() as found, pytest.raises(EndedError, match=text):
        found.wait()


def test_port_in_use_is_refused() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        text = f"^--port: {HOST}:{port} is already in use; expected a free port$"
        with pytest.raises(EndedError, match=text), cluster.running(port):
            raise AssertionError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Pipeline a failed in state FAILED: java.lang.Exception: Error received from SDK harness: Traceback (most "
            "recent call last):\n  File 'x.py', line 1, in f\nValueError: t.csv: line 3: found 2 values\n\nDuring "
            "handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n"
            "  File \"y.py\", line 2\n    g()\nValueError: t.csv: line 3: found 2 values [while running 'Read']\n\n"
            "\tat org.apache.beam.Some.method(Some.java:1)\n",
            "t.csv: line 3: found 2 values [while running 'Read']",
        ),
        ("Pipeline a failed in state FAILED: java.io.IOException: No space left", "No space left"),
        ("java.lang.Exception: outer\n\tat a.b\nCaused by: java.lang.Exception: inner\n\tat a.c\n", "inner"),
    ],
)
def test_original_error_is_found_in_java_traces(text: str, found: str) -> None:
    assert root_cause(text) == found
