import http.server
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import create_runner
from click.testing import CliRunner
from tfx.utils.dependency_utils import make_beam_dependency_flags

import local_runner
from pipeline.beam import flink_args
from pipeline.cloud_settings import Flink
from pipeline.config import Beam
from pipeline.config_errors import ConfigError
from pipeline.config_loading import ROOT
from pipeline.flink import jar
from pipeline.flink.checks import check_flink
from pipeline.flink.job_server import JobServer, job_servers, shared
from pipeline.flink.process import EndedError, Process, free_port
from pipeline.flink.runner import FlinkError, FlinkRunner, Job, cause

CLUSTER = '{"taskmanagers": 1, "slots-total": 2, "flink-version": "1.19.1"}'


@pytest.fixture
def overview(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of something that answers as a cluster's REST API does; a test's parameter is its answer."""
    answer = getattr(request, "param", CLUSTER).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A jar, so that none is fetched."""
    monkeypatch.setattr(jar, "jar", lambda: tmp_path / "made.jar")
    return tmp_path / "made.jar"


def beam(address: str, **settings: object) -> Beam:
    return Beam(runner="flink", flink=Flink(address=address, **settings))  # type: ignore[arg-type]


def test_beam_understands_its_arguments() -> None:
    options = PipelineOptions(flink_args(Flink(address="here:8081", parallelism=3)))
    assert options.view_as(FlinkRunnerOptions).flink_master == "here:8081"
    assert options.view_as(FlinkRunnerOptions).parallelism == 3
    assert options.view_as(PortableOptions).environment_type == "LOOPBACK"
    assert options.view_as(PortableOptions).job_endpoint is None
    assert isinstance(create_runner(options.view_as(StandardOptions).runner), FlinkRunner)


def test_workers_elsewhere_are_those_of_the_pool_and_a_job_server_is_taken_as_it_is() -> None:
    settings = Flink(workers="external", pool="localhost:50001", job_server="there:8099")
    options = PipelineOptions(flink_args(settings)).view_as(PortableOptions)
    assert (options.environment_type, options.environment_config) == ("EXTERNAL", "localhost:50001")
    assert options.job_endpoint == "there:8099"


def test_tfx_does_not_pack_itself_up_for_workers_that_have_it() -> None:
    arguments = flink_args(Flink())
    assert make_beam_dependency_flags(arguments) == arguments


@pytest.mark.parametrize(("program", "others"), [("java", ["mvn"]), ("mvn", ["java"])])
def test_missing_program_is_named(
    program: str, others: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in others:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jar, "CACHE", tmp_path / "cache")
    with pytest.raises(ConfigError, match=rf"^beam.runner: 'flink' needs {program} on the PATH, .*install") as raised:
        check_flink(beam("localhost:1"))
    assert "\n" not in str(raised.value)


def test_what_maven_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mvn").write_text("#!/bin/sh\necho '[ERROR] Could not find artifact a:b'\nexit 1\n")
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(jar, "CACHE", tmp_path / "cache")
    with pytest.raises(ConfigError, match="Maven could not make Beam's job server: Could not find artifact a:b; try"):
        jar.jar()


def test_run_is_refused_at_once_where_there_is_no_cluster(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    address = f"127.0.0.1:{free_port()}"
    settings = ["--set=beam.runner=flink", f"--set=beam.flink.address={address}"]
    start = time.monotonic()
    result = CliRunner().invoke(local_runner.main, settings)
    assert result.exit_code == 2
    assert f"found no Flink cluster at {address} ([Errno 111] Connection refused); start one" in " ".join(
        result.output.split()
    )
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("overview", "settings", "text"),
    [
        (CLUSTER, {"parallelism": 3}, "beam.flink.parallelism: found 3; the cluster at .* has 2 slots in 1 task"),
        (CLUSTER.replace("1.19.1", "2.0.0"), {}, "beam.flink.address: found Flink 2.0.0 at .*; expected 1.19"),
        ("<html>", {}, "found no Flink cluster at .*, but something else that answers"),
        ("[]", {}, "found no Flink cluster at .*, but something else that answers"),
    ],
    indirect=["overview"],
)
def test_cluster_that_does_not_suit_is_refused(
    overview: str, settings: dict[str, object], text: str, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    with pytest.raises(ConfigError, match=text):
        check_flink(beam(overview, **settings))


def test_cluster_that_suits_is_not(overview: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    check_flink(beam(overview, parallelism=2))


def test_job_server_of_ones_own_needs_no_java_but_has_to_be_there(
    overview: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    check_flink(beam(overview, job_server=overview))
    missing = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=f"beam.flink.job_server: nobody listens at {missing}"):
        check_flink(beam(overview, job_server=missing))


def test_local_runs_ask_nobody() -> None:
    check_flink(Beam(flink=Flink(address="127.0.0.1:1")))


def test_process_that_dies_says_what_it_said() -> None:
    process = Process("A server", ["/bin/sh", "-c", "echo starts; echo 'an Exception: port taken'; exit 3"])
    with pytest.raises(EndedError, match=r"^A server ended \(exit code 3\): an Exception: port taken$"):
        process.wait_for(lambda: False, 10)
    process.close()


def test_process_that_never_comes_up_is_not_waited_for() -> None:
    process = Process("A server", ["sleep", "60"])
    with pytest.raises(EndedError, match="was not up after 0 s"):
        process.wait_for(lambda: False, 0.3)
    start = time.monotonic()
    process.close()
    assert time.monotonic() - start < 5


def test_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = f"""
import os, signal, time
from pathlib import Path
from pipeline.flink.process import Process
Process("A server", ["sh", "-c", "echo $$ > {mark}; exec sleep 60"])
while not Path("{mark}").exists() or not Path("{mark}").read_text().strip():
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    server = Path(f"/proc/{mark.read_text().strip()}")
    end = time.monotonic() + 10
    while server.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not server.exists()


class Broken(grpc.RpcError):
    """What gRPC raises of a server that is gone."""


def test_job_server_that_dies_is_named_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobServer, "_is_up", lambda _: True)
    died = ["sh", "-c", "sleep 0.3; echo 'java.lang.OutOfMemoryError: heap'; exit 1"]
    monkeypatch.setattr("pipeline.flink.job_server.java", lambda *_: died)
    address = f"127.0.0.1:{free_port()}"
    with job_servers():
        server = shared(address)
        server.start()
        end = time.monotonic() + 10
        while not server.ended and time.monotonic() < end:
            time.sleep(0.05)
        job = Job(PipelineOptions(flink_args(Flink(address=address))))
        text = r"Beam's job server ended \(exit code 1\): java.lang.OutOfMemoryError: heap; the step was cancelled"
        with pytest.raises(FlinkError, match=text), job.explained():
            raise Broken
        server.start()  # another step gets another one
        assert not server.ended
        assert shared(address) is server
    assert shared(address) is not server


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
def test_cause_is_found_in_javas_words(text: str, found: str) -> None:
    assert cause(text) == found
