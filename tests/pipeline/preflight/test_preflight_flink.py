import http.server
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import local_runner
from common.project import ROOT
from pipeline.beam.flink import addresses, jar
from pipeline.beam.flink.addresses import free_port, is_local_host, is_loopback
from pipeline.config.beam import Beam, Flink
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config
from pipeline.preflight.flink import check_flink

CLUSTER = '{"taskmanagers": 1, "slots-total": 2, "flink-version": "1.19.1"}'
ELSEWHERE = "192.0.2.7"  # a documentation address: RFC 5737


@pytest.fixture
def task_managers() -> list[str]:
    """Hosts of the cluster's task managers, which a test may change."""
    return ["127.0.0.1"]


@pytest.fixture
def overview(request: pytest.FixtureRequest, task_managers: list[str]) -> Iterator[str]:
    """The address of a fake REST API of a cluster; a test's parameter is its response."""
    answer = getattr(request, "param", CLUSTER)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths = [{"path": f"pekko.tcp://flink@{host}:41001/user/rpc/taskmanager_0"} for host in task_managers]
            self.send_response(200)
            self.end_headers()
            found = json.dumps({"taskmanagers": paths}) if self.path == "/taskmanagers" else answer
            self.wfile.write(found.encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Java and a jar, so that none is downloaded."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(jar, "jar", lambda: tmp_path / "made.jar")


def beam(address: str, **settings: object) -> Beam:
    return Beam(runner="flink", flink=Flink(address=address, **settings))  # type: ignore[arg-type]


def refusal(settings: Beam) -> str:
    with pytest.raises(ConfigError) as raised:
        check_flink(settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("key", ["address", "pool", "job_server"])
@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("here", "expected text that matches"),
        ("a..b:80", "expected text"),
        ("here:99999", "found port 99999; expected"),
    ],
)
def test_invalid_address_is_refused(key: str, found: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"beam.flink.{key}: .*{text}"):
        load_config(ROOT / "configs/taxi.yaml", {f"beam.flink.{key}": found})


@pytest.mark.parametrize(("program", "others"), [("java", ["mvn"]), ("mvn", ["java"])])
def test_missing_program_is_reported(
    program: str, others: list[str], overview: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in others:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jar, "CACHE", tmp_path / "cache")
    found = refusal(beam(overview))
    assert found.startswith(f"beam.runner: found 'flink', and no {program} on the PATH")
    assert "install" in found


def test_run_without_a_cluster_is_refused_at_once() -> None:
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
        (CLUSTER, {"parallelism": 3}, "beam.flink.parallelism: found 3; expected at most 2, the slots of"),
        (CLUSTER.replace("1.19.1", "2.0.0"), {}, "beam.flink.address: found Flink 2.0.0 at .*; expected 1.19"),
        ("<html>", {}, "found no Flink cluster at .*; another server listens there"),
        ("[]", {}, "found no Flink cluster at .*; another server listens there"),
    ],
    indirect=["overview"],
)
def test_unsuitable_cluster_is_refused(overview: str, settings: dict[str, object], text: str, made: None) -> None:
    with pytest.raises(ConfigError, match=text):
        check_flink(beam(overview, **settings))


def test_suitable_cluster_passes(overview: str, made: None) -> None:
    check_flink(beam(overview, parallelism=2))


def test_loopback_workers_need_a_local_cluster(overview: str, made: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_resolved", lambda _: {ELSEWHERE})  # as if the cluster were on another machine
    found = refusal(beam(overview))
    assert found.startswith(
        f"beam.flink.workers: found 'loopback', workers in this process, and beam.flink.address {overview} on another"
    )
    assert "expected 'external'" in found
    check_flink(beam(overview, workers="external"))


def test_loopback_workers_need_local_task_managers(overview: str, made: None, task_managers: list[str]) -> None:
    task_managers.append(ELSEWHERE)
    assert f"a task manager of {overview} at {ELSEWHERE} on another machine" in refusal(beam(overview))
    check_flink(beam(overview, workers="external"))


def test_worker_pool_of_a_local_cluster_has_to_listen(overview: str, made: None) -> None:
    missing = f"localhost:{free_port()}"
    found = refusal(beam(overview, workers="external", pool=missing))
    assert found.startswith(f"beam.flink.pool: found no server at {missing}")
    check_flink(beam(overview, workers="external", pool=overview))


def test_given_job_server_needs_no_java_but_has_to_listen(overview: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    check_flink(beam(overview, job_server=overview))
    missing = f"127.0.0.1:{free_port()}"
    assert refusal(beam(overview, job_server=missing)).startswith(
        f"beam.flink.job_server: found no server at {missing}"
    )


def test_remote_job_server_cannot_use_localhost(overview: str) -> None:
    found = refusal(beam(overview, job_server=f"{ELSEWHERE}:8099"))
    assert found.startswith(f"beam.flink.job_server: found {ELSEWHERE}:8099 on another machine, which cannot reach")


def test_local_runner_needs_no_cluster() -> None:
    check_flink(Beam(flink=Flink(address="127.0.0.1:1")))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.1.1", socket.gethostname()])
def test_local_hosts_are_recognized(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize("host", [ELSEWHERE, "no-such-host.invalid", "a..b"])
def test_remote_hosts_are_recognized(host: str) -> None:
    assert not is_local_host(host)
    assert not is_loopback(host)


def test_loopback_addresses_are_recognized() -> None:
    assert is_loopback("localhost")
    assert is_loopback("127.0.0.2")
    assert not is_loopback("0.0.0.0")
