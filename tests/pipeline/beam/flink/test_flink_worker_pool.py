import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import grpc
import psutil
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from click.testing import CliRunner

from common.project import ROOT
from pipeline.beam.flink.addresses import HOST, free_port
from pipeline.beam.flink.worker_pool import main


@pytest.mark.parametrize(
    ("listen", "text"),
    [
        ("127.0.0.1", "found '127.0.0.1'; expected host:port"),
        (":50000", "found ':50000'; expected host:port"),
        ("127.0.0.1:99999", "found '127.0.0.1:99999'; expected host:port"),
        ("127.0.0.1:0", "found '127.0.0.1:0'; expected host:port"),
        ("no-such-host.invalid:50000", "found the host 'no-such-host.invalid'; expected a loopback address"),
        ("0.0.0.0:50000", "found the host '0.0.0.0'; expected a loopback address"),
    ],
)
def test_invalid_listen_address_is_refused(listen: str, text: str) -> None:
    result = CliRunner().invoke(main, ["--listen", listen])
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: --listen: {text}")
    assert result.output.count("\n") == 1


@pytest.fixture
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restores what the command changes, which usually has its own process."""
    for name in ("PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_port_of_another_pool_is_refused(this_process: None) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # like Beam's own pool
        taken.bind((HOST, 0))
        taken.listen()
        listen = f"{HOST}:{taken.getsockname()[1]}"
        result = CliRunner().invoke(main, ["--listen", listen])
    assert result.output == f"Error: --listen: cannot listen at {listen}; expected a free port that you may use\n"


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stopping_the_pool_stops_its_workers(stop: signal.Signals) -> None:
    listen = f"{HOST}:{free_port()}"
    command = [sys.executable, "-m", "pipeline.beam.flink.worker_pool", f"--listen={listen}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as pool:
        with grpc.insecure_channel(listen) as channel:
            grpc.channel_ready_future(channel).result(60)
            stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
            request = beam_fn_api_pb2.StartWorkerRequest(worker_id="1")
            request.control_endpoint.url = f"{HOST}:{free_port()}"
            assert not stub.StartWorker(request).error
        [worker] = psutil.Process(pool.pid).children()
        pool.send_signal(stop)
        assert pool.wait(30) == 0
    assert not worker.is_running()
